"""The description of the JSON API is what the routes and their answers are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dashboard.sites import bearer, site
from support.programs import run_python

from antq_actors import AntQ, Job, Worker
from antq_actors.web import Access
from antq_actors.web.site import ALL_ROUTES

DOCS = Path(__file__).parents[2] / "docs"
DESCRIBED = json.loads((DOCS / "openapi.json").read_text())


class Send(Worker, queue="mail", max_attempts=1):
    def perform(self, job: Job) -> None:
        raise ValueError(job.args)


def test_the_file_is_what_the_program_writes() -> None:
    assert run_python(DOCS / "openapi.py", "--check").returncode == 0, "run make docs"


def test_each_route_of_the_api_is_described() -> None:
    described = {(path, method) for path, of in DESCRIBED["paths"].items() for method in of}
    routes = {
        (
            route.path.replace(":int", "") if route.path != "/" else "/overview",
            str(route.method).lower(),
        )
        for route in ALL_ROUTES
        if route.has_api
    }
    assert described == routes


@pytest.mark.parametrize(
    "path", ["/overview", "/jobs/1", "/jobs/1/why", "/queue", "/tree", "/charts", "/store"]
)
def test_an_answer_has_the_keys_that_are_described(tmp_path: Path, path: str) -> None:
    described = path.replace("/1", "/{id}")
    schema = DESCRIBED["paths"][described]["get"]["responses"]["200"]["content"]
    name = schema["application/json"]["schema"]["$ref"].rpartition("/")[2]
    with AntQ(tmp_path / "jobs", queues={"mail": 1}) as app:
        app.enqueue(Send, {})
        assert app.wait_idle(timeout=30)
        answer = site(app).get(f"/api/v1{path}?name=mail", headers=bearer(Access.READ))
    assert answer.status_code == 200
    assert set(answer.json()) == set(DESCRIBED["components"]["schemas"][name]["properties"])
