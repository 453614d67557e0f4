"""Where spans come from and go to: resource, tracer provider, export_queue. Decides nothing about requests.

Starts a thread: make it after fork, never at import.
"""

from importlib import import_module

from opentelemetry import _logs, metrics, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.trace import Tracer

import paceline
from paceline.settings import Settings
from paceline.telemetry.export_protocol import GRPC
from paceline.telemetry.export_queue import SHUTDOWN_SECONDS, SpanExportQueue
from paceline.telemetry.sampler import follow_requests


class SpanPipeline:
    """Paceline's own provider and export_queue, and the choice between that provider and the application's."""

    def __init__(self, settings: Settings, pid: int, exporter: SpanExporter | None = None) -> None:
        """Starts the sending thread.

        Args:
            pid: of this process; part of `service.instance.id`.
            exporter: OTLP over HTTP, to the endpoint that the OTEL_* variables name, if not given.
        """
        opentelemetry = settings.opentelemetry
        self.export_queue = SpanExportQueue(
            exporter or _exporter(opentelemetry.protocol),
            max_queue_size=opentelemetry.bsp_max_queue_size,
            max_batch_size=opentelemetry.bsp_max_export_batch_size,
        )
        self._own = TracerProvider(
            # None: the SDK reads OTEL_TRACES_SAMPLER.
            sampler=None if opentelemetry.traces_sampler else follow_requests(),
            resource=_resource(settings, pid),
            shutdown_on_exit=False,  # the SDK's exit handler would wait for a collector that hangs
        )
        self._own.add_span_processor(self.export_queue)
        self._chosen: TracerProvider | None = None

    @property
    def own_tracer(self) -> Tracer:
        """For spans about the process itself, which may be needed before the application has started."""
        return self._own.get_tracer("paceline", paceline.__version__)

    @property
    def resource(self) -> Resource:
        """The resource that request spans carry."""
        return self._choose().resource

    def request_tracer(self) -> Tracer:
        """For spans of requests. Call it first when the first request is traced: the application has started by then.

        If it has a provider, that one is used and extended, not replaced.
        """
        return self._choose().get_tracer("paceline", paceline.__version__)

    @property
    def is_own(self) -> bool:
        """Whether spans of requests go through Paceline's provider, not the application's."""
        return self._choose() is self._own

    def frameworks_may_be_silenced(self) -> bool:
        """Whether nothing is lost by switching a framework's own telemetry off: the application set up spans at most.

        A framework has one switch for spans, metrics and logs, so an application's own meters must keep it on.
        """
        others = (metrics.get_meter_provider(), _logs.get_logger_provider())
        # The API's placeholders are the sign of "not set up"; it has no other.
        return all("Proxy" in type(provider).__name__ for provider in others)

    def export(self, span: ReadableSpan) -> None:
        """Sends a span that no tracer made."""
        self.export_queue.on_end(span)

    def shutdown(self, timeout_seconds: float = SHUTDOWN_SECONDS) -> None:
        """Sends what waits, for at most `timeout_seconds`."""
        self.export_queue.shutdown(timeout_seconds)

    def _choose(self) -> TracerProvider:
        if self._chosen is not None:
            return self._chosen
        theirs = trace.get_tracer_provider()
        if isinstance(theirs, TracerProvider):
            self._chosen = theirs
            if not _exports_already(theirs):
                theirs.add_span_processor(self.export_queue)
        else:
            self._chosen = self._own
            if isinstance(theirs, trace.ProxyTracerProvider):  # nobody has set one: libraries get ours
                trace.set_tracer_provider(self._own)
        return self._chosen


def _exporter(protocol: str) -> SpanExporter:
    if protocol == GRPC:
        # By name: the package is an option, and the start has checked that it is installed.
        made: SpanExporter = import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter").OTLPSpanExporter()
        return made
    return OTLPSpanExporter()


def _exports_already(provider: TracerProvider) -> bool:
    """Whether the application's provider sends its spans by OTLP itself; sending them twice would double them."""
    # The SDK has no public way to ask for a provider's processors; finding none only means that we add ours.
    processors = getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ())
    return any(isinstance(getattr(each, "span_exporter", None), OTLPSpanExporter) for each in processors)


def _resource(settings: Settings, pid: int) -> Resource:
    """Who sends the spans. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what Paceline knows itself."""
    serve = settings.serve
    known = {
        "service.name": settings.opentelemetry.service_name,
        "service.instance.id": f"{serve.pod_uid or serve.pod_name}-{pid}",
        "service.version": serve.service_version,
        "k8s.pod.name": serve.pod_name,
        "k8s.pod.uid": serve.pod_uid,
        "telemetry.distro.name": "paceline",
        "telemetry.distro.version": paceline.__version__,
    }
    ours = Resource.create({name: value for name, value in known.items() if value})
    return _HashedOnce(ours.merge(OTELResourceDetector().detect()))


class _HashedOnce(Resource):
    """The OTLP encoder asks for the hash with every span; the SDK makes it of all attributes as JSON each time."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(dict(resource.attributes), resource.schema_url)
        self._hash = hash(resource)

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)

    def __hash__(self) -> int:
        return self._hash
