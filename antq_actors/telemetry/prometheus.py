"""Metrics for Prometheus: ``Collector(app)`` to register, and endpoints for ASGI and WSGI.

Gauges are read from the store when they are asked for, so one program shows all nodes of a path.
Counters and histograms are of this process, since the first `Collector` of its application.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from antq_actors.app.antq import AntQ
from antq_actors.checks import short_repr
from antq_actors.errors import StorageError
from antq_actors.introspection import shown
from antq_actors.jobs.worker import in_thread
from antq_actors.telemetry.meter import BOUNDS, meter_of, read_meter

try:
    from prometheus_client import (
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        generate_latest,
        make_asgi_app,
        make_wsgi_app,
    )
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
    from prometheus_client.utils import floatToGoString
except ModuleNotFoundError as error:
    if error.name != "prometheus_client":
        raise
    raise ImportError(
        "antq_actors.telemetry.prometheus needs prometheus-client:"
        " pip install 'antq-actors[prometheus]'"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from antq_actors.storage.gauges import StoreGauges
    from antq_actors.telemetry.meter import Distribution, Readings

    AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

__all__ = ["Collector", "asgi_app", "wsgi_app"]

_ENDS: Final = tuple(map(floatToGoString, (*BOUNDS, float("inf"))))


class Collector:
    """The metrics of an application, to be registered: ``REGISTRY.register(Collector(app))``.

    It registers nothing by itself and opens no port. While the application does not run in this
    process it yields nothing, and it keeps no application alive. Counters and histograms are those
    of this process since the first collector of *app* was made. *store_only*: gauges alone.
    """

    def __init__(self, app: AntQ, *, store_only: bool = False) -> None:
        """Take the metrics of *app*. Raises TypeError for what is no application."""
        if not isinstance(app, AntQ):
            raise TypeError(f"app must be an AntQ application, got {short_repr(app)}")
        self._app = weakref.ref(app)
        self._store_only = store_only
        if not store_only:
            meter_of(app.antq_hub)

    def describe(self) -> Iterator[Metric]:
        """Yield the families without values; a registry takes the names for itself by that."""
        yield from _Store().families()
        if not self._store_only:
            yield from _Process().families()

    def collect(self) -> Iterator[Metric]:
        """Read the store and what was counted, and yield the families of metrics."""
        app = self._app()
        if app is None:
            return
        store, process = _Store(), _Process()
        try:
            gauges = app.antq_gauges()
        except StorageError:
            store.up.add_metric([], 0)
        else:
            if gauges is None:
                return
            store.fill(gauges)
        yield from store.families()
        if not self._store_only:
            process.fill(read_meter(app.antq_hub))
            yield from process.families()


class _Store:
    """The families that are read from the store."""

    def __init__(self) -> None:
        self.up = GaugeMetricFamily("antq_up", "Whether the store can be read: 1 or 0.")
        self.jobs = GaugeMetricFamily(
            "antq_jobs", "Jobs in the store, by queue and status.", labels=("queue", "status")
        )
        self.oldest = GaugeMetricFamily(
            "antq_oldest_due_seconds",
            "How long the first due job of a queue has been due; 0 when none is.",
            labels=("queue",),
        )
        self.slots = GaugeMetricFamily(
            "antq_slots",
            "Jobs that a queue performs at once on a node, at most.",
            labels=("queue", "node"),
        )
        self.nodes = GaugeMetricFamily("antq_nodes", "Living processes that run queues.")
        self.bytes = GaugeMetricFamily("antq_store_bytes", "Size of the store's data file.")

    def fill(self, gauges: StoreGauges) -> None:
        self.up.add_metric([], 1)
        for queue, numbers in gauges.queues.items():
            for status, count in numbers.jobs.items():
                self.jobs.add_metric([_text(queue), str(status)], count)
            self.oldest.add_metric([_text(queue)], numbers.oldest_due_seconds)
        for (queue, node), slots in gauges.slots.items():
            self.slots.add_metric([_text(queue), str(node)], slots)
        self.nodes.add_metric([], gauges.nodes)
        self.bytes.add_metric([], gauges.size_bytes)

    def families(self) -> Sequence[Metric]:
        return self.up, self.jobs, self.oldest, self.slots, self.nodes, self.bytes


class _Process:
    """The families that are counted in this process."""

    def __init__(self) -> None:
        labels = ("queue", "worker")
        self.ended = CounterMetricFamily(
            "antq_jobs_ended",
            "Executions of jobs that have ended in this process, by what came of them.",
            labels=(*labels, "outcome"),
        )
        self.duration = HistogramMetricFamily(
            "antq_job_duration_seconds",
            "How long executions of jobs took, from claimed to ended.",
            labels=labels,
        )
        self.queue_time = HistogramMetricFamily(
            "antq_job_queue_time_seconds",
            "How long jobs were due before they were claimed, for each ended execution.",
            labels=labels,
        )
        self.commits = HistogramMetricFamily(
            "antq_commit_seconds",
            "How long transactions of the store took in this process, with its write lock.",
        )

    def fill(self, readings: Readings) -> None:
        for each in readings.ended:
            labels = [_text(each.queue), _text(each.worker)]
            for outcome, count in each.outcomes.items():
                self.ended.add_metric([*labels, outcome], count)
            _add(self.duration, labels, each.duration)
            _add(self.queue_time, labels, each.queue_time)
        _add(self.commits, [], readings.commits)

    def families(self) -> Sequence[Metric]:
        return self.ended, self.duration, self.queue_time, self.commits


def _add(family: HistogramMetricFamily, labels: list[str], values: Distribution) -> None:
    buckets = list(zip(_ENDS, values.cumulative, strict=True))
    family.add_metric(labels, buckets=buckets, sum_value=values.total)


def _text(name: str) -> str:
    """Return a name as it can be written: it may have surrogates, which no encoding has."""
    return name.encode("utf-8", "backslashreplace").decode()


# ---- endpoints -------------------------------------------------------------------------------


class _Collected:
    """What was collected, for a registry of its own."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> list[Metric]:
        return self._families


def asgi_app(app: AntQ) -> AsgiApp:
    """Return an ASGI application that serves the metrics of *app*, to be mounted at ``/metrics``.

    The store is read in a thread, so a scrape does not stop the event loop.
    """
    collector = Collector(app)

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        registry = CollectorRegistry(auto_describe=True)
        if scope["type"] == "http":
            registry.register(await in_thread(lambda: _Collected(collector.collect())))
        await make_asgi_app(registry)(scope, receive, send)

    return serve


def wsgi_app(app: AntQ, *, store_only: bool = False) -> Callable[[Any, Any], Any]:
    """Return a WSGI application that serves the metrics of *app*; *store_only*: gauges alone."""
    registry = CollectorRegistry()
    registry.register(Collector(app, store_only=store_only))
    return make_wsgi_app(registry)


def scrape(app: AntQ) -> Callable[[], tuple[bytes, str]]:
    """Return what reads the metrics of *app* as text, with the type of that text.

    For a site that has a place for them already. An application that runs no queues in this process
    has gauges alone.
    """
    collectors = {runs: Collector(app, store_only=not runs) for runs in (True, False)}

    def read() -> tuple[bytes, str]:
        registry = CollectorRegistry()
        registry.register(_Collected(collectors[app.runs_queues].collect()))
        return generate_latest(registry), CONTENT_TYPE_LATEST

    return read


def __dir__() -> list[str]:
    return shown(globals())
