"""A look at the cluster from outside of the operator, as `why`, `budget` and `inspect` take it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from kubernetes.aio import config

from paceline_operator.cluster.api_server import ApiServer, load_configuration
from paceline_operator.cluster.kubernetes import KubernetesPlatform
from paceline_operator.cluster.manifests import DEFAULT_NAMESPACE
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


def namespace_in_use() -> str:
    """That of the kubeconfig's current context, as kubectl has it; `default` where it names none."""
    try:
        _, context = config.list_kube_config_contexts(os.environ.get("KUBECONFIG"))  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError):
        return DEFAULT_NAMESPACE
    return str((context.get("context") or {}).get("namespace") or DEFAULT_NAMESPACE)
