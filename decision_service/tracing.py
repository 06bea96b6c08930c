"""Traces: each request and the steps of its decision with their times, sent to a collector by OTLP; off by default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any

from decision_service.errors import InputError

_OFF: AbstractContextManager[None] = nullcontext()
_tracer: Any = None
_provider: Any = None


def configure(url: str, version: str, exporter: Any = None) -> None:
    """From now on send traces to a collector's address for OTLP over HTTP, in the background; what is lost is lost.

    ``exporter`` takes the place of the sender. Raises ``InputError`` when the libraries are not installed.
    """
    global _tracer, _provider
    try:
        trace, resources = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.resources")
        export = import_module("opentelemetry.sdk.trace.export")
        if exporter is None:
            exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter(url)
    except ImportError as error:
        remedy = "pip install 'decision-service[traces]'"
        raise InputError(f"traces need a library: {error}", where="DECISION_TRACES_URL", remedy=remedy) from error
    named = resources.Resource.create({"service.name": "decision-service", "service.version": version})
    _provider = trace.TracerProvider(resource=named)
    _provider.add_span_processor(export.BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("decision_service")


def is_on() -> bool:
    """Whether traces are sent."""
    return _tracer is not None


def flush() -> bool:
    """Send what waits; whether all of it was taken."""
    return _provider is None or bool(_provider.force_flush())


def off() -> None:
    """Send what waits, and then no more."""
    global _tracer, _provider
    flush()
    _tracer = _provider = None


def span(name: str) -> AbstractContextManager[Any]:
    """A step of what is being done. No values of anybody's belong in it."""
    return _OFF if _tracer is None else _tracer.start_as_current_span(name, record_exception=False)


@contextmanager
def request_span(method: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """A request, as part of the caller's own trace if it names one (`traceparent`)."""
    propagate, trace = import_module("opentelemetry.propagate"), import_module("opentelemetry.trace")
    kind, parent = trace.SpanKind.SERVER, propagate.extract(headers)
    with _tracer.start_as_current_span(method, context=parent, kind=kind, record_exception=False) as begun:
        yield begun
