"""An application that has telemetry already: a provider and an exporter of its own, and a log."""

import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

logger = logging.getLogger("shop.orders")
tracer = trace.get_tracer("shop")


class FileExporter(SpanExporter):
    """One span a line: its name and its trace."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with Path(os.environ["SPANS_FILE"]).open("a") as file:
            for span in spans:
                context = span.get_span_context()
                file.write(f"{span.name}|{trace.format_trace_id(context.trace_id) if context else ''}\n")
        return SpanExportResult.SUCCESS


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    provider = TracerProvider(resource=Resource({"service.name": "the-shop"}))
    provider.add_span_processor(SimpleSpanProcessor(FileExporter()))
    trace.set_tracer_provider(provider)
    yield


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.get("/orders/{number}")
async def order(number: int) -> dict[str, int]:
    with tracer.start_as_current_span("query"):
        logger.warning("order %d is late", number, extra={"customer": "ada"})
        return {"number": number}
