"""A look at the cluster from outside of the operator, as `why` and `budget` take it: nothing is written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from paceline_operator.cluster.api_server import ApiServer, load_configuration
from paceline_operator.cluster.kubernetes import KubernetesPlatform
from paceline_operator.settings import OperatorSettings


@asynccontextmanager
async def cluster_seen_by(command: str) -> AsyncIterator[tuple[ApiServer, KubernetesPlatform]]:
    """The API server of the kubeconfig, and the platform on it.

    Raises:
        UsageError: there is no access to a cluster.
    """
    settings = OperatorSettings.from_environment()
    server = ApiServer(await load_configuration(), deadline_seconds=settings.api_timeout_seconds)
    try:
        yield (
            server,
            KubernetesPlatform(
                server,
                policies_of=lambda namespace, target: frozenset(),
                nudging=False,
                now=lambda: datetime.now(UTC),
                reporter=command,
            ),
        )
    finally:
        await server.close()
