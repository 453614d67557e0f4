"""The cluster alone; each test that installs something does it in a namespace of its own."""

from collections.abc import Iterator

import pytest
from testcluster import Cluster, connected


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with connected() as found:
        yield found
