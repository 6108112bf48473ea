"""``antq start --app``: what a site sets up is there for the jobs; what cannot start says so."""

import signal

import pytest
import sites

from antq_actors import AntQ
from antq_actors.cli import REFUSED, USAGE, run

START = ("-m", "antq_actors", "start", "sites:app", "--app")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("SITES_PLACE", str(tmp_path))
    return tmp_path


@pytest.fixture
def start(program, place):
    """Starts the application within a site, when these jobs have been enqueued."""

    def start(site, *jobs):
        with AntQ(place / "store", queues=sites.QUEUES, start_queues=False) as app:
            for worker, args in jobs:
                app.enqueue(worker, args)
        return program(*START, f"sites:{site}")

    return start


@pytest.mark.parametrize("site", ["web", "around"])
def test_jobs_run_within_the_lifespan_of_an_asgi_site(start, site):
    started = start(site, (sites.look, {}))

    assert [started.line(), started.line()] == ["site up False", "found pool"]

    started.send(signal.SIGTERM)
    code, said, errors = started.end()
    assert (code, said) == (0, "site down False\n"), errors


def test_a_site_that_answers_http_alone_is_taken_as_it_is(start):
    started = start("http_alone", (sites.look, {}))

    assert started.line() == "found"

    started.send(signal.SIGTERM)
    code, _, errors = started.end()
    assert code == 0
    assert "Traceback" not in errors


@pytest.mark.parametrize("site", ["shop", "make_shop"])
def test_jobs_run_in_the_application_context_of_a_flask_site(start, site):
    jobs = [(sites.look_at_context, {}), (sites.look_at_context, {"fails": True})]
    in_a_process = [(sites.look_at_context_in_a_process, {})]
    started = start(site, *jobs, *in_a_process)

    said = [started.line() for _ in range(6)]

    assert sorted(said) == [*["found shop False"] * 3, "teardown 'order'", *["teardown None"] * 2]
    started.send(signal.SIGTERM)
    assert started.end()[0] == 0


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """The application of sites.py in a folder of its own, for this process."""
    app = AntQ(tmp_path / "store")
    monkeypatch.setattr(sites, "app", app)
    return app


@pytest.mark.parametrize(
    ("site", "code", "said"),
    [
        ("broken", REFUSED, "antq: 'sites:broken' could not start: ConnectionError: no database"),
        ("make_shop_async", USAGE, "'sites:make_shop_async' is a coroutine function; a function"),
        ("fails", REFUSED, "antq: 'sites:fails' failed"),
        ("PLACE", USAGE, "'sites:PLACE' is a PosixPath, which has no lifespan and no application"),
        ("missing", USAGE, "module 'sites' has no 'missing'"),
    ],
)
def test_a_site_that_cannot_be_entered_runs_no_job(apart, capsys, site, code, said):

    assert run(["start", "sites:app", "--app", f"sites:{site}"]) == code

    said_last = capsys.readouterr().err.splitlines()
    assert said in " ".join(said_last[-3:])
    assert not apart.path.exists()
    assert not apart.antq_is_held


@pytest.mark.parametrize(
    ("place", "said"),
    [("sites", "'sites' is not MODULE:SITE"), ("missing:site", "there is no module 'missing'")],
)
def test_a_place_that_names_no_site_is_wrong_usage(capsys, place, said):
    assert run(["start", "sites:app", "--app", place]) == USAGE

    assert said in capsys.readouterr().err
