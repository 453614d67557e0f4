"""`paceline-operator run`: the operator in a cluster, under kopf. Settings of kopf and its start, nothing else."""

import asyncio
import logging
import socket
from typing import Final

import kopf

import paceline_operator.handlers  # noqa: F401 - registers the handlers with kopf
from paceline_operator.cluster.api_server import load_configuration
from paceline_operator.cluster.watches import EndlessBackoffs
from paceline_operator.crd.v1alpha1 import GROUP
from paceline_operator.errors import OperatorError, UsageError
from paceline_operator.listening import split_bind
from paceline_operator.settings import OperatorSettings
from paceline_operator.wiring import operator_process

_PAGE: Final = 100
"""Objects a page of a list; kopf would read all of them in one response."""


def kopf_settings(api_timeout_seconds: float) -> kopf.OperatorSettings:
    """kopf as this operator needs it; each line keeps a known trap shut."""
    settings = kopf.OperatorSettings()
    settings.networking.error_backoffs = EndlessBackoffs()
    # kopf lists whole clusters, which takes longer than our own calls.
    settings.networking.request_timeout = 3 * api_timeout_seconds
    settings.networking.connect_timeout = 10
    settings.networking.enforce_retry_after = True
    settings.watching.chunk_size = _PAGE
    settings.watching.server_timeout = 300
    settings.watching.connect_timeout = 10
    # One operator, started anew by its Deployment: peering would pause it for an object that anybody may create.
    settings.peering.standalone = True
    # No rights on CRDs and namespaces: what is watched is known before the start.
    settings.scanning.disabled = True
    # Events are written by the loop; kopf's own would need core/v1 rights.
    settings.posting.enabled = False
    # Nothing is stored on objects, but if a handler ever does it must not carry kopf's default prefix.
    settings.persistence.finalizer = f"{GROUP}/operator"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    return settings


def run(settings: OperatorSettings) -> None:
    """Runs until SIGTERM or SIGINT.

    Raises:
        UsageError: no access to a cluster, or an address that cannot be used.
        OperatorError: the loops ended by themselves.
    """
    kopf.configure(log_format=kopf.LogFormat.JSON if settings.log_format == "json" else kopf.LogFormat.FULL)
    # A line for each event, each probe that succeeded, and each request to it.
    for chatty in ("kopf.objects", "kopf.activities", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # A failed probe has said why already; this adds a traceback of the web server.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    asyncio.run(_operate(settings))


def _require_free(bind: str) -> None:
    """kopf opens this address itself, and a failure there would be a page of tracebacks."""
    host, port = split_bind(bind)
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        message = f"/healthz cannot listen on {bind}: {error.strerror}; free it or set PACELINE_OPERATOR_PROBE_BIND"
        raise UsageError(message) from error


async def _operate(settings: OperatorSettings) -> None:
    _require_free(settings.probe_bind)
    configuration = await load_configuration()
    namespaces = settings.watched_namespaces
    async with operator_process(settings, configuration) as process:
        try:
            await kopf.operator(
                registry=kopf.get_default_registry(),
                settings=kopf_settings(settings.api_timeout_seconds),
                memo=kopf.Memo(process=process),
                clusterwide=not namespaces,
                namespaces=namespaces,
                standalone=True,
                liveness_endpoint=f"http://{settings.probe_bind}/healthz",
                stop_flag=process.ended,
            )
        except Exception as error:
            # The edge of the process: whatever kopf ends with, kubelet starts the pod anew.
            raise OperatorError(f"the operator ended by itself: {error}") from error
        if process.failed:
            raise OperatorError("the loops of the policies ended by themselves; see the log")
