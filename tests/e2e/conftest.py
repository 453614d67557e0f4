"""One release for the whole folder: the demo, the API on a NodePort of loopback."""

import os
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from background_load import BackgroundLoad
from release import Release, new_release, remove_leftovers, settings_for
from testcluster import Cluster, connected, until

NODE_PORT = int(os.environ.get("PACELINE_TEST_NODE_PORT", "30080"))
# A query holds its connection this long, so that pools are used without a load that two cores could not carry.
DISTANCE_SECONDS = 0.1


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with connected() as found:
        yield found


@pytest.fixture(scope="session")
def release(cluster: Cluster) -> Iterator[Release]:
    # An interrupted run leaves its namespace, and in it the NodePort.
    remove_leftovers(cluster)
    made = new_release(cluster, "e2e")
    made.install(
        *settings_for(made.namespace),
        f"service.nodePort={NODE_PORT}",
        f"service.env.API_SIMULATED_DISTANCE_SECONDS={DISTANCE_SECONDS}",
    )
    yield made
    if os.environ.get("PACELINE_TEST_KEEP") != "1":
        made.uninstall()
        cluster.delete_namespace(made.namespace)


@pytest.fixture(autouse=True)
def no_policy_stays(release: Release) -> Iterator[None]:
    """Each test begins without a policy; the values that the last one left stay, as they do for users."""
    yield
    release.delete_policies()


@pytest.fixture
def api(release: Release) -> str:
    """The API's address, through the NodePort; the key that loads ask for is there."""
    address = f"http://127.0.0.1:{NODE_PORT}"
    until(lambda: _is_put(f"{address}/cache/greeting?ttl=86400"), 60, "the API takes the key")
    return address


def _is_put(url: str) -> bool:
    """Not while pods that an earlier test has broken come back."""
    put = urllib.request.Request(url, data=b"hello", method="PUT")
    with suppress(OSError), urllib.request.urlopen(put, timeout=30) as response:
        return bool(response.status < 300)
    return False


@pytest.fixture
def load(api: str) -> BackgroundLoad:
    """All three endpoints at once, at rates that the smallest pool and two shared cores carry."""
    return BackgroundLoad({f"{api}/products": 20, f"{api}/expensive-data": 20, f"{api}/cache/greeting": 20})


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a measurement into the run's output, also when the test passes."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n    {line}")

    return write
