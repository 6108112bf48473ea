"""What the collector shows is what the store has and what this process did."""

import gc
import re
import shutil
import subprocess
import sys
import threading
import weakref
from datetime import timedelta

import httpx2
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from support.apps import until
from support.programs import in_a_fork

from antq_actors import AntQ, Cancel, Status, Worker
from antq_actors.events import JobEnded, Several
from antq_actors.telemetry.meter import meter_of
from antq_actors.telemetry.prometheus import Collector, asgi_app, wsgi_app

GAUGES = {
    "antq_up": "gauge",
    "antq_jobs": "gauge",
    "antq_oldest_due_seconds": "gauge",
    "antq_slots": "gauge",
    "antq_nodes": "gauge",
    "antq_store_bytes": "gauge",
}
COUNTED = {
    "antq_jobs_ended": "counter",
    "antq_job_duration_seconds": "histogram",
    "antq_job_queue_time_seconds": "histogram",
    "antq_commit_seconds": "histogram",
}
ENDED = "antq_jobs_ended_total"


class Count(Worker, queue="default", max_attempts=2, retry_delay=0):
    def perform(self, job):
        match job.args["do"]:
            case "fail":
                raise ValueError
            case "cancel":
                return Cancel("enough")


class Later(Worker, queue="default", executor="process"):
    def perform(self, job):
        pass


def registry_of(app):
    registry = CollectorRegistry(auto_describe=True)
    registry.register(Collector(app))
    return registry


def families(registry):
    return {each.name: each.type for each in registry.collect()}


def ends_of(registry, worker=Count):
    """Return how many executions have ended, by outcome."""
    return {
        sample.labels["outcome"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == ENDED and sample.labels["worker"].endswith(worker.__name__)
    }


def python(program, *arguments):
    """Run a program that has to succeed, and return the lines that it printed."""
    done = subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def names_in(text):
    return set(re.findall("^# TYPE (\\w+)", text, re.MULTILINE))


def do(app, *what):
    for each in what:
        app.enqueue(Count, {"do": each})
    app.wait_idle()


@pytest.fixture
def registry(app):
    return registry_of(app)


def test_every_family_has_a_type_a_help_text_and_the_prefix(app, registry):
    found = list(registry.collect())

    assert {each.name: each.type for each in found} == GAUGES | COUNTED
    assert all(each.documentation for each in found)


def test_jobs_are_counted_by_queue_and_status(paused, registry):
    paused.enqueue(Count, {"do": "nothing"})
    paused.enqueue(Count, {"do": "nothing"}, queue="mail", schedule_in=60)

    found = {
        (queue, status): registry.get_sample_value("antq_jobs", {"queue": queue, "status": status})
        for queue in ("default", "mail")
        for status in Status
    }

    assert found == {
        **dict.fromkeys(found, 0),
        ("default", "enqueued"): 1,
        ("mail", "scheduled"): 1,
    }


def test_the_oldest_due_job_tells_its_age_and_other_queues_have_none(paused, registry):
    job = paused.enqueue(Count, {"do": "nothing"})
    paused.enqueue(Count, {"do": "nothing"}, queue="mail", schedule_in=60)

    before = paused.antq_hub.clock()
    age = registry.get_sample_value("antq_oldest_due_seconds", {"queue": "default"})
    after = paused.antq_hub.clock()

    microsecond = timedelta(microseconds=1)
    assert before - job.scheduled_at - microsecond <= timedelta(seconds=age)
    assert timedelta(seconds=age) <= after - job.scheduled_at + microsecond
    assert registry.get_sample_value("antq_oldest_due_seconds", {"queue": "mail"}) == 0


def test_slots_are_there_from_the_start_and_follow_a_change(app, registry):
    def slots(queue):
        labels = {"queue": queue, "node": str(app.node)}
        return registry.get_sample_value("antq_slots", labels)

    assert (slots("default"), slots("mail")) == (2, 2)

    app.queue("mail").set_concurrency(7)

    assert (slots("default"), slots("mail")) == (2, 7)


def test_nodes_and_the_size_of_the_file_are_those_of_the_store(app, registry):
    assert registry.get_sample_value("antq_nodes") == 1
    size = (app.path / "data.mdb").stat().st_size
    assert registry.get_sample_value("antq_store_bytes") == size


SCRAPED = """
import sys
from prometheus_client import CollectorRegistry, generate_latest
from antq_actors import AntQ
from antq_actors.telemetry.prometheus import Collector, asgi_app, wsgi_app

with AntQ(sys.argv[1], start_queues=False) as app:
    registry = CollectorRegistry()
    registry.register(Collector(app))
    print(generate_latest(registry).decode())
"""


def test_a_process_without_queues_sees_those_that_run_elsewhere(tmp_path):
    with AntQ(tmp_path / "store", queues={"mail": 3}) as app:
        app.queue("mail").set_concurrency(5)
        shown = python(SCRAPED, tmp_path / "store")
        node = app.node

    assert "antq_nodes 1.0" in shown
    assert f'antq_slots{{node="{node}",queue="mail"}} 5.0' in shown
    assert [line for line in shown if 'queue="default"' in line] == []


def test_executions_are_counted_by_what_came_of_them(app, registry):
    do(app, "nothing", "fail", "cancel")

    assert ends_of(registry) == {"completed": 1, "retrying": 1, "failed": 1, "cancelled": 1}


@pytest.mark.parametrize("name", ["antq_job_duration_seconds", "antq_job_queue_time_seconds"])
def test_each_execution_is_observed_once_with_its_queue_and_worker(app, registry, name):
    do(app, "nothing", "fail")

    (family,) = [each for each in registry.collect() if each.name == name]
    labels = {frozenset(sample.labels) - {"le"} for sample in family.samples}
    buckets = [s.labels["le"] for s in family.samples if s.name.endswith("_bucket")]
    (count,) = [s.value for s in family.samples if s.name.endswith("_count")]
    assert labels == {frozenset({"queue", "worker"})}
    assert (buckets[0], buckets[-2:], count) == ("0.005", ["1800.0", "+Inf"], 3)


def test_commits_are_observed_without_labels(app, registry):
    do(app, "nothing")

    assert registry.get_sample_value("antq_commit_seconds_count") >= 2
    assert registry.get_sample_value("antq_commit_seconds_bucket", {"le": "0.005"}) is not None


def test_what_a_job_process_performed_is_counted():
    with AntQ() as app:
        registry = registry_of(app)
        app.enqueue(Later)
        app.wait_idle()

        assert ends_of(registry, Later) == {"completed": 1}


def test_executions_are_counted_when_many_end_at_once(app, registry):
    app.enqueue_many(Count, [{"do": "nothing"}] * 500)
    app.wait_idle()

    assert ends_of(registry) == {"completed": 500}


def test_two_applications_are_counted_apart(app, registry):
    with AntQ() as other:
        second = registry_of(other)
        do(other, "nothing")
        do(app, "fail")

        assert ends_of(registry) == {"retrying": 1, "failed": 1}
        assert ends_of(second) == {"completed": 1}


def test_a_stopped_application_yields_nothing_until_it_starts_again(place):
    app = AntQ(place)
    registry = registry_of(app)
    assert families(registry) == {}
    with app:
        do(app, "nothing")

    assert families(registry) == {}
    with app:
        do(app, "nothing")
        assert families(registry) == GAUGES | COUNTED
        assert ends_of(registry) == {"completed": 2}


def test_an_application_that_starts_and_stops_is_never_shown_as_broken(place):
    app = AntQ(place)
    registry = registry_of(app)
    seen, is_over = set(), threading.Event()

    def scrape():
        while not is_over.is_set():
            seen.add(registry.get_sample_value("antq_up"))

    scraping = threading.Thread(target=scrape)
    scraping.start()
    try:
        for _ in range(3):
            with app:
                until(lambda: 1 in seen, "a scrape")
    finally:
        is_over.set()
        scraping.join()

    assert seen <= {None, 1}


def test_another_collector_goes_on_where_the_first_was(app):
    registry = CollectorRegistry(auto_describe=True)
    first, second = Collector(app), Collector(app)
    registry.register(first)
    do(app, "nothing")
    with pytest.raises(ValueError, match="antq_jobs"):
        registry.register(second)

    registry.unregister(first)
    assert families(registry) == {}
    registry.register(second)
    do(app, "nothing")

    assert ends_of(registry) == {"completed": 2}


def test_a_collector_keeps_no_stopped_application_alive():
    app = AntQ()
    registry = registry_of(app)
    with app:
        do(app, "nothing")
    gone = weakref.ref(app)

    del app
    gc.collect()

    assert gone() is None
    assert families(registry) == {}


def test_a_fork_of_its_process_yields_nothing(app, registry):
    assert in_a_fork(lambda: generate_latest(registry)) == "b''"


@pytest.mark.parametrize("make", [Collector, asgi_app, wsgi_app])
def test_what_is_no_application_is_refused(make):
    with pytest.raises(TypeError, match="app must be an AntQ application, got 'jobs'"):
        make("jobs")


def test_a_store_that_cannot_be_read_leaves_what_was_counted(tmp_path):
    with AntQ(tmp_path / "store") as app:
        registry = registry_of(app)
        do(app, "nothing")

        shutil.rmtree(tmp_path / "store")

        until(lambda: registry.get_sample_value("antq_up") == 0, "that it is seen")
        assert registry.get_sample_value("antq_nodes") is None
        assert ends_of(registry) == {"completed": 1}


ODD = {"queue": "q", "worker": 'a"\\\n\udc80', "outcome": "failed", "duration": 1, "queue_time": 1}


def test_a_name_that_has_no_utf_8_is_shown_escaped(app):
    meter_of(app.antq_hub).take([Several(JobEnded, ODD, [1])])

    shown = generate_latest(registry_of(app)).decode()

    assert 'worker="a\\"\\\\\\n\\\\udc80"' in shown


def test_the_wsgi_endpoint_serves_the_whole(app):
    endpoint = wsgi_app(app)
    do(app, "nothing")

    with httpx2.Client(transport=httpx2.WSGITransport(endpoint), base_url="http://here") as client:
        found = client.get("/metrics")

    assert found.headers["content-type"].startswith("text/plain")
    assert names_in(found.text) == {*GAUGES, *COUNTED} - {"antq_jobs_ended"} | {ENDED}


@pytest.mark.parametrize("query", ["", "?name[]=antq_nodes"])
def test_the_asgi_endpoint_serves_the_whole_or_what_is_asked_for(app, query):
    site = Starlette(routes=[Mount("/metrics", asgi_app(app))])
    do(app, "nothing")

    with TestClient(site) as client:
        found = client.get(f"/metrics/{query}")

    everything = {*GAUGES, *COUNTED} - {"antq_jobs_ended"} | {ENDED}
    assert found.headers["content-type"].startswith("text/plain")
    assert names_in(found.text) == ({"antq_nodes"} if query else everything)


def test_endpoints_of_a_stopped_application_serve_nothing():
    app = AntQ()
    with TestClient(Starlette(routes=[Mount("/metrics", asgi_app(app))])) as client:
        found = client.get("/metrics/")

    assert (found.status_code, found.text.strip()) == (200, "")


def test_promtool_finds_nothing_to_complain_of(app, registry):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool, of the Debian package prometheus, is not installed")
    do(app, "nothing", "fail", "cancel")

    done = subprocess.run(  # noqa: S603 - our own command
        [promtool, "check", "metrics"],
        input=generate_latest(registry),
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
