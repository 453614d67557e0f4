"""Routes that the objective excludes or has an objective of its own for: pods are asked to name them, so that they can
be taken out of the others."""

import json
from collections.abc import Mapping, Sequence

from modelled_fleet import CHOOSING, KEY, PINNED, ModelledFleet
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


OBJECTIVES = {
    "p95": "45ms",
    "routes": {"exclude": ["GET /healthz"], "objectives": [{"match": "GET /r/*", "p95": "2s"}]},
}


async def test_routes_with_an_objective_of_their_own_are_asked_for_and_travel_in_the_document(
    settings: OperatorSettings,
) -> None:
    fleet = AskedFleet({**PINNED, "objective": OBJECTIVES})
    await Reconciler(fleet, fleet, now=lambda: fleet.now, settings=settings, journal=lambda line: None).reconcile(KEY)

    assert fleet.content is not None
    assert json.loads(fleet.content)["routes"] == ["GET /healthz", "GET /r/*"]
    assert all(url is not None and url.endswith("?route=GET+%2Fhealthz&route=GET+%2Fr%2F%2A") for url in fleet.urls)


async def test_a_document_of_a_policy_without_any_says_nothing_of_routes(settings: OperatorSettings) -> None:
    fleet = AskedFleet(PINNED)
    await Reconciler(fleet, fleet, now=lambda: fleet.now, settings=settings, journal=lambda line: None).reconcile(KEY)

    assert fleet.content is not None
    assert "routes" not in json.loads(fleet.content)
