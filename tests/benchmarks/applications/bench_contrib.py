"""FastAPI instrumented by OpenTelemetry's contrib package, sampling as Paceline does. gunicorn loads it after fork.

CONTRIB_EXCLUDE=receive,send leaves out the spans of single ASGI messages, which few want.
"""

import os
from typing import Any, cast

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.05)))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
app = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})


@app.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


excluded = os.environ["CONTRIB_EXCLUDE"].split(",") if "CONTRIB_EXCLUDE" in os.environ else None
FastAPIInstrumentor.instrument_app(app, exclude_spans=cast("Any", excluded))
