"""What tracing costs: jobs that do nothing, untraced, and with OpenTelemetry.

Its SDK makes and exports the spans in memory; what sends them elsewhere costs more.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from measure import Measure, application, interleaved, kind, main, rate, ratio
from noop import Noop, drain
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from antq_actors.telemetry.otel import OtelMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from antq_actors import AntQ

SLOTS: Final = 50
CASES: Final = ("untraced", "without a provider", "in memory")


def bench(*, short: bool) -> Iterator[Measure]:
    """All cases in turn, volatile, so that no disk hides them; each round is on a new store."""
    jobs, rounds = (100, 1) if short else (5_000, 7)
    for what, run in (("drain", drain), ("enqueue one by one", _enqueued)):
        cpu: dict[str, list[float]] = {name: [] for name in CASES}
        benches: dict[str, Callable[[], float]] = {
            name: partial(_measured, run, jobs, name, cpu[name]) for name in CASES
        }
        values = interleaved(rounds, benches)
        alone = values["untraced"]
        for name, rates in values.items():
            yield Measure(f"{what}, {kind(durable=False)}, OpenTelemetry: {name}", "jobs/s", rates)
            yield Measure("  processor time of a job", "us", cpu[name])
            if rates is not alone:
                yield ratio("  against untraced", rates, alone)


def _measured(run: Callable[[AntQ, int], float], jobs: int, case: str, cpu: list[float]) -> float:
    """Return the jobs/s of a run, and add the processor time of a job to *cpu*."""
    provider = None
    if case == "in memory":
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    middleware = [] if case == "untraced" else [OtelMiddleware(tracer_provider=provider)]
    with application(durable=False, queues={"default": SLOTS}, middleware=middleware) as app:
        before = time.process_time()
        jobs_a_second = run(app, jobs)
        cpu.append(1e6 * (time.process_time() - before) / jobs)
    return jobs_a_second


def _enqueued(app: AntQ, jobs: int) -> float:
    app.queue(app.default_queue).pause()

    def work() -> None:
        for number in range(jobs):
            app.enqueue(Noop, {"number": number})

    return rate(jobs, work)


if __name__ == "__main__":
    main(__doc__, bench)
