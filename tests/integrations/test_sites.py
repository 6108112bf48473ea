"""The extensions for Flask and Quart, with the real frameworks."""

import asyncio
import json
import subprocess
import sys
from collections import deque
from contextlib import nullcontext
from pathlib import Path

import context_sites
import pytest
from support.apps import settled

import antq_actors
from antq_actors import ConfigError, Status
from antq_actors.integrations.app_context import site_at
from antq_actors.integrations.flask import AntQ as FlaskAntQ
from antq_actors.integrations.quart import AntQ as QuartAntQ

MAKERS = {"flask": context_sites.flask_site, "quart": context_sites.quart_site}
HERE = Path(__file__).parent


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


@pytest.fixture
def opened(make, tmp_path):
    """A function that makes a site and sends it one request; its application is stopped after."""
    made = []

    def open_site(handler=lambda: "", **settings):
        site = make(tmp_path / "jobs", **settings)
        site.route("/")(handler)
        made.append(site)
        get(site)
        return site

    yield open_site
    for site in made:
        site.extensions["antq"].stop()


def get(site):
    response = site.test_client().get("/")
    if asyncio.iscoroutine(response):
        response = asyncio.run(response)
    assert response.status_code == 200
    return response


def test_nothing_is_opened_before_the_first_request(make, tmp_path):
    site = make(tmp_path / "jobs")

    app = site.extensions["antq"]
    assert isinstance(app, antq_actors.AntQ)
    assert repr(app).endswith("not started>")
    assert not list(tmp_path.iterdir())


def test_the_first_request_opens_it_to_enqueue_before_functions_of_the_site(make, tmp_path):
    site = make(tmp_path / "jobs")
    seen = []
    site.before_request(lambda: seen.append(context_sites.in_thread.perform_async().id))
    site.route("/")(lambda: "")
    app = site.extensions["antq"]
    try:
        get(site)
        get(site)

        assert seen == [1, 2]
        assert not app.runs_queues
    finally:
        app.stop()


def test_one_that_runs_already_is_left_alone(make, tmp_path):
    site = make(tmp_path / "jobs")
    site.route("/")(lambda: "")
    app = site.extensions["antq"]
    with app:
        get(site)
        assert app.runs_queues


@pytest.mark.parametrize("worker", [context_sites.in_thread, context_sites.in_loop])
def test_a_job_runs_in_the_application_context_and_its_teardown_gets_the_exception(opened, worker):
    site = opened(ANTQ_RUN_IN_SERVER=True)
    app = site.extensions["antq"]
    ended = []
    site.teardown_appcontext_funcs.append(ended.append)

    assert worker.perform_async().result(timeout=20) == "shop"
    failed = settled(app, worker.perform_async(fails=True))

    assert failed.status is Status.FAILED
    assert [type(error) for error in ended] == [type(None), ValueError]


def test_middleware_in_any_sequence_keeps_the_application_context(opened):
    opened(ANTQ_RUN_IN_SERVER=True, ANTQ_MIDDLEWARE=deque([antq_actors.Middleware()]))

    assert context_sites.in_thread.perform_async().result(timeout=20) == "shop"


@pytest.mark.parametrize("has_place", [True, False])
def test_a_job_process_has_the_context_where_it_knows_the_site(opened, make, has_place):
    place = {"ANTQ_APP": f"context_sites:{make.__name__}"} if has_place else {}
    opened(ANTQ_RUN_IN_SERVER=True, **place)

    job = context_sites.in_process.perform_async()

    assert job.result(timeout=60) == ("shop" if has_place else None)


@pytest.mark.parametrize(
    ("settings", "error", "named"),
    [
        ({"ANTQ_PATHS": "jobs"}, ConfigError, "ANTQ_PATHS"),
        ({"ANTQ_RUN_IN_SERVER": "yes"}, ConfigError, "ANTQ_RUN_IN_SERVER"),
        ({"ANTQ_APP": 3}, ConfigError, "ANTQ_APP"),
        ({"ANTQ_APP": "nocolon"}, ConfigError, "'shop.web:site' or 'shop.web:create_site', got"),
        ({"ANTQ_APP": "shop.web:"}, ConfigError, "ANTQ_APP"),
        ({"ANTQ_APP": ":site"}, ConfigError, "ANTQ_APP"),
        ({"ANTQ_APP": "shop..web:site"}, ConfigError, "ANTQ_APP"),
        ({"ANTQ_MIDDLEWARE": "shop:Traces"}, TypeError, "middleware"),
        ({"ANTQ_RETENTION": "long"}, (TypeError, ConfigError), "retention"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_init_app(make, settings, error, named):
    with pytest.raises(error, match=named):
        make(**settings)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "cannot be imported: AttributeError"),
        ("flask_site_async", "is a coroutine and no site"),
        ("QUEUES", "cannot be imported: TypeError: 'dict' object is not callable"),
    ],
)
def test_a_job_process_that_finds_no_site_says_so(name, said):
    with pytest.raises(ConfigError, match=f"ANTQ_APP 'context_sites:{name}' {said}"):
        site_at(f"context_sites:{name}")


@pytest.mark.parametrize("extension", [FlaskAntQ, QuartAntQ])
def test_what_is_no_site_is_refused(extension):
    with pytest.raises(TypeError, match=r"site must be a .* application, got 3"):
        extension(3)


def test_a_site_that_has_an_application_gets_no_second_one(make):
    site = make()
    first = site.extensions["antq"]
    extension = FlaskAntQ if isinstance(site, context_sites.flask.Flask) else QuartAntQ

    with pytest.raises(ConfigError, match=r"the site 'shop' has an application of antq already"):
        extension(site)

    assert site.extensions["antq"] is first


def test_an_extension_serves_many_sites_each_with_its_own_application():
    extension = FlaskAntQ()
    sites = [context_sites.flask.Flask(name) for name in ("one", "two")]
    for site in sites:
        extension.init_app(site)

    one, two = (site.extensions["antq"] for site in sites)
    assert one is not two


@pytest.mark.parametrize("framework", MAKERS)
def test_its_command_line_has_the_commands_of_antq_without_a_path(framework, tmp_path):
    path = tmp_path / "jobs"
    with antq_actors.AntQ(path, queues=context_sites.QUEUES, start_queues=False) as app:
        app.enqueue(context_sites.in_thread)
    program = f"""
import context_sites, sys
def create_app():
    return context_sites.{framework}_site({str(path)!r})
"""
    (tmp_path / "site_here.py").write_text(program)

    def run(*arguments):
        command = [sys.executable, "-m", framework, "--app", "site_here:create_app", "antq"]
        return subprocess.run(  # noqa: S603 - the command under test
            [*command, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PYTHONPATH": f"{tmp_path}:{HERE}", "PATH": ""},
            timeout=60,
        )

    counted, missing = run("count"), run("show", "99")

    assert (counted.returncode, counted.stdout) == (0, "1\n"), counted.stderr
    assert missing.returncode == 1
    assert missing.stderr.splitlines()[-1].startswith("antq: no job has the id 99")


@pytest.mark.parametrize("is_open", [True, False])
def test_its_commands_have_the_keys_and_middleware_of_the_site(make, tmp_path, is_open):
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text("k" * 32)
    kept = {"ANTQ_MIDDLEWARE": [context_sites.Tenants()], "ANTQ_ENCRYPTION_KEY_FILE": key}
    site = make(tmp_path / "jobs", **kept)
    app = site.extensions["antq"]
    with app.start(queues=False):
        context_sites.in_thread.perform_async(fails=True)

    with app.start(queues=False) if is_open else nullcontext():
        shown = run_command(site, "show", "1", "--json")
        enqueued = run_command(site, "enqueue", "context_sites:in_thread")
        assert app.antq_is_running is is_open

    assert json.loads(shown.output)["args"] == {"fails": True}
    assert "Job 2 is enqueued" in enqueued.output
    with antq_actors.AntQ(tmp_path / "jobs", start_queues=False, encryption_key_file=key) as looks:
        assert looks.get_job(2).meta == {"tenant": "acme"}
    with antq_actors.AntQ(tmp_path / "jobs", start_queues=False) as looks:
        assert looks.get_job(2).meta == {}, "it is encrypted"


def test_its_commands_also_work_in_a_process_that_has_the_store_open(opened, make):
    site = opened(lambda: str(context_sites.in_thread.perform_async().id))

    counted = run_command(site, "count")
    paused = run_command(site, "pause", "threads")

    assert (counted.exit_code, counted.output) == (0, "1\n")
    assert (paused.exit_code, paused.output) == (0, "Queue 'threads' is paused.\n")
    assert site.extensions["antq"].antq_is_running


def test_a_site_that_keeps_its_jobs_in_memory_has_no_commands(make):
    site = make()

    for command in ("start", "list"):
        refused = run_command(site, command)

        assert refused.exit_code == 1
        assert "keeps its jobs in memory" in refused.output


def run_command(site, *arguments):
    return site.test_cli_runner().invoke(args=["antq", *arguments])


def test_quart_opens_it_before_a_websocket_as_well(tmp_path):
    site = context_sites.quart_site(tmp_path / "jobs", ANTQ_RUN_IN_SERVER=True)

    @site.websocket("/")
    async def socket():
        job = await context_sites.in_loop.aperform_async()
        await context_sites.quart.websocket.send(await job.aresult(timeout=20))

    async def ask():
        async with site.test_client().websocket("/") as connection:
            return await connection.receive()

    try:
        assert asyncio.run(ask()) == "shop"
    finally:
        site.extensions["antq"].stop()
