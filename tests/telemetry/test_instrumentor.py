"""Every application of the process is traced, from instrument() to uninstrument()."""

import json
from importlib.metadata import entry_points

import pytest
import traced_jobs
from opentelemetry.trace import SpanKind
from support.apps import settled, until
from traced_jobs import Sync, exporter

from antq_actors import AntQ
from antq_actors.telemetry.otel import OtelMiddleware


@pytest.fixture
def instrumentor():
    traced_jobs.trace_here()
    exporter.clear()
    (entry_point,) = entry_points(group="opentelemetry_instrumentor", name="antq_actors")
    instrumentor = entry_point.load()()
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


def kinds():
    return sorted(each.kind.name for each in exporter.get_finished_spans())


def perform(app, **options):
    settled(app, Sync.perform_async({"does": "pass"}, **options))
    return kinds()


def test_applications_that_run_and_those_that_come_are_traced(instrumentor):
    with AntQ(queues={"default": 1}) as app:
        assert perform(app) == []
        instrumentor.instrument()
        assert perform(app) == ["CONSUMER", "PRODUCER"]

    with AntQ(queues={"default": 1}, middleware=[traced_jobs.Refuses()]) as app:
        exporter.clear()
        assert perform(app) == ["CONSUMER", "PRODUCER"]
        instrumentor.uninstrument()
        exporter.clear()
        assert perform(app) == []
        with pytest.raises(PermissionError):
            app.enqueue(Sync, {"does": "refuse"})


def test_an_application_with_the_middleware_is_traced_once(instrumentor):
    instrumentor.instrument(propagation="child")

    with AntQ(queues={"default": 1}, middleware=[OtelMiddleware()]) as app:
        assert perform(app) == ["CONSUMER", "PRODUCER"]

    (performed,) = [
        each for each in exporter.get_finished_spans() if each.kind is SpanKind.CONSUMER
    ]
    assert performed.parent is None


def test_what_was_set_up_is_not_set_up_anew(instrumentor, tmp_path):
    notes = []

    class Noting(traced_jobs.Refuses):
        def setup(self):
            notes.append("setup")

    with AntQ(queues={"default": 1}, middleware=[Noting()]) as app:
        instrumentor.instrument()
        perform(app)

    assert notes == ["setup"]


def test_job_processes_are_traced_as_long_as_their_parent_is(instrumentor, tmp_path):
    file = tmp_path / "spans"
    file.touch()

    def exported():
        return [json.loads(line)["name"] for line in file.read_text().splitlines()]

    with AntQ(queues={"default": 1}, middleware=[traced_jobs.ExportsToFile(file)]) as app:
        instrumentor.instrument()
        settled(app, traced_jobs.order.perform_async())
        until(lambda: exported() == ["pay", "send default", "process default"])
        app.wait_idle()
        instrumentor.uninstrument()
        settled(app, traced_jobs.order.perform_async())
        app.wait_idle()
        assert exported() == ["pay", "send default", "process default", "pay"]
