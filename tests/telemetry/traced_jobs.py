"""Jobs that are traced, and what exports their spans from any process to a file."""

import asyncio
import json
import os
import threading
import time
from pathlib import Path

from opentelemetry import baggage, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from antq_actors import Cancel, Fail, Job, Middleware, Snooze, Worker, worker

hangs = threading.Event()
"""Is set once a job hangs."""
exporter = InMemorySpanExporter()
reader = InMemoryMetricReader()


def trace_here():
    """Give this process providers whose exporter and reader are in memory."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(provider_for(exporter))
        metrics.set_meter_provider(MeterProvider([reader]))


def provider_for(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


class FileExporter(SpanExporter):
    def __init__(self, file):
        self.file = file

    def export(self, spans):
        with Path(self.file).open("a", encoding="utf-8") as file:
            for span in spans:
                line = json.dumps({**json.loads(span.to_json(indent=None)), "pid": os.getpid()})
                file.write(line + "\n")
        return SpanExportResult.SUCCESS


class ExportsToFile(Middleware):
    """Gives each process that has no provider yet one that exports to a file."""

    def __init__(self, file):
        self.file = file

    def setup(self):
        if not isinstance(trace.get_tracer_provider(), TracerProvider):
            trace.set_tracer_provider(provider_for(FileExporter(self.file)))


class Textless(Exception):
    def __str__(self):
        raise RuntimeError("it has no text")


def carry_out(job):  # noqa: C901, PLR0912 - a table of what jobs do
    span = trace.get_current_span()
    span.set_attribute("seen", job.args["does"])
    match job.args["does"]:
        case "raise":
            raise ValueError("of the job")
        case "raise without text":
            raise Textless
        case "fail":
            return Fail("of the job")
        case "cancel":
            return Cancel("of the job")
        case "snooze":
            return Snooze(3_600)
        case "follow":
            job.follow_up(Sync, {"does": "pass"})
        case "follow and raise":
            job.follow_up(Sync, {"does": "pass"})
            raise ValueError("of the job")
        case "follow in vain":
            for does in ("refuse", "pass"):
                try:
                    job.follow_up(Sync, {"does": does})
                except PermissionError:
                    assert does == "refuse"
        case "hang":
            hangs.set()
            while True:
                time.sleep(0.001)
        case "say":
            return dict(baggage.get_all())
    return None


class Sync(Worker, max_attempts=2, result=True, retry_delay=0):
    def perform(self, job):
        return carry_out(job)


class Brief(Worker, max_attempts=1, timeout=0.3):
    def perform(self, job):
        return carry_out(job)


class Awaited(Worker, max_attempts=2, result=True, retry_delay=0):
    async def perform(self, job):
        await asyncio.sleep(0)
        return carry_out(job)


@worker(name="traced:confirm")
def confirm() -> None:
    trace.get_current_span().set_attribute("seen", "confirm")


@worker(executor="process", name="traced:order")
def order(job: Job) -> None:
    with trace.get_tracer("shop").start_as_current_span("pay"):
        job.follow_up(confirm)


@worker(executor="process", name="traced:hang_in_process")
def hang_in_process(begun: str) -> None:
    Path(begun).touch()
    while True:
        time.sleep(0.001)


class Refuses(Middleware):
    def on_enqueue(self, draft):
        if draft.args.get("does") == "refuse":
            raise PermissionError("refused")


class RefusesLate(Middleware):
    def around_enqueue(self, draft, call):
        if draft.args.get("does") == "refuse late":
            raise PermissionError("refused")
        return call()
