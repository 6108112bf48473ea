"""What is exported of one request over HTTP, a job in a process of its own, and its follow-up."""

import json
import os
import threading
from urllib.request import urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import traced_jobs
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from support.apps import settled, until

from antq_actors import AntQ, Status
from antq_actors.telemetry.otel import OtelMiddleware


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def site(environ, start_response):
    tracer = trace.get_tracer("shop")
    with tracer.start_as_current_span("POST /orders", kind=SpanKind.SERVER):
        job = traced_jobs.order.perform_async()
    start_response("202 Accepted", [])
    return [str(job.id).encode()]


@pytest.fixture
def server():
    server = make_server("127.0.0.1", 0, site, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def exported(file):
    """Return what this process and others have exported, by the name and what the job has set."""
    here = [
        {**json.loads(each.to_json()), "pid": os.getpid()}
        for each in traced_jobs.exporter.get_finished_spans()
    ]
    return here + [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("propagation", ["link", "child"])
def test_a_request_a_job_in_a_process_and_its_follow_up_are_one_picture(
    tmp_path, server, propagation
):
    traced_jobs.trace_here()
    traced_jobs.exporter.clear()
    file = tmp_path / "spans"
    middleware = [OtelMiddleware(propagation), traced_jobs.ExportsToFile(file)]
    with AntQ(queues={"default": 2}, middleware=middleware) as app:
        with urlopen(f"http://127.0.0.1:{server.server_port}/orders", data=b"") as reply:
            id_ = int(reply.read())
        assert settled(app, app.get_job(id_)).status is Status.COMPLETED
        app.wait_idle()
        until(lambda: len(exported(file)) == 6)
        (follow_up,) = [each.id for each in app.list_jobs() if each.id != id_]

    spans = exported(file)

    def only(name, **attributes):
        (one,) = [
            each
            for each in spans
            if each["name"] == name and attributes.items() <= each["attributes"].items()
        ]
        return one

    request = only("POST /orders")
    sent = only("send default", **{"messaging.message.id": str(id_)})
    performed = only("process default", **{"messaging.message.id": str(id_)})
    inner = only("pay")
    sent_on = only("send default", **{"antq.worker": "traced:confirm"})
    followed = only("process default", **{"messaging.message.id": str(follow_up)})
    assert followed["attributes"]["seen"] == "confirm"
    assert performed["attributes"]["antq.executor"] == "process"
    assert performed["pid"] == inner["pid"] == sent_on["pid"] != os.getpid()
    assert request["pid"] == sent["pid"] == followed["pid"] == os.getpid()
    parents = [(sent, request), (inner, performed), (sent_on, inner)]
    hops = [(performed, sent), (followed, sent_on)]
    for span, before in parents if propagation == "link" else parents + hops:
        assert span["parent_id"] == before["context"]["span_id"]
        assert span["context"]["trace_id"] == before["context"]["trace_id"]
    if propagation == "link":
        for span, before in hops:
            assert span["parent_id"] is None
            assert [each["context"] for each in span["links"]] == [
                {**before["context"], "trace_state": "[]"}
            ]
