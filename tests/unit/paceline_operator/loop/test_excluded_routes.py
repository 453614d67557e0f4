"""Routes that the objective excludes: pods are asked to name them, so that they can be taken out of the others."""

from collections.abc import Mapping, Sequence

from modelled_fleet import CHOOSING, KEY, ModelledFleet
from paceline_operator.core.measure.pods import PodState
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import Pod
from paceline_operator.settings import OperatorSettings


class AskedFleet(ModelledFleet):
    """Keeps the addresses that pods were asked at."""

    async def scrape(self, pods: Sequence[Pod]) -> Mapping[str, PodState]:
        self.urls = {pod.state_url for pod in pods}
        return await super().scrape(pods)


async def asked(settings: OperatorSettings, routes: list[str]) -> set[str | None]:
    fleet = AskedFleet({**CHOOSING, "objective": {**CHOOSING["objective"], "routes": {"exclude": routes}}})
    await Reconciler(fleet, fleet, now=lambda: fleet.now, settings=settings, journal=lambda line: None).reconcile(KEY)
    return fleet.urls


async def test_pods_are_asked_to_name_them(settings: OperatorSettings) -> None:
    urls = await asked(settings, ["GET /v1/users/{id}", "GET /healthz"])
    assert urls
    for url in urls:
        assert url is not None
        assert url.endswith("/state?route=GET+%2Fhealthz&route=GET+%2Fv1%2Fusers%2F%7Bid%7D")


async def test_without_any_the_address_is_the_pods(settings: OperatorSettings) -> None:
    for url in await asked(settings, []):
        assert url is not None
        assert url.endswith("/state")
