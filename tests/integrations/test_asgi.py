"""Lifespans of ASGI sites and the plugin for Litestar, with the real frameworks."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.di import NamedDependency
from litestar.testing import TestClient as LitestarClient
from starlette.testclient import TestClient

from antq_actors import AntQ, NotStarted, StartError, worker
from antq_actors.integrations import asgi
from antq_actors.integrations.asgi import AntQDep
from antq_actors.integrations.litestar import AntQPlugin


@worker(result=True)
def double(number):
    return 2 * number


@pytest.fixture
def app(tmp_path):
    app = AntQ(tmp_path / "jobs", queues={"default": 2})
    yield app
    app.stop()


def site_with(lifespan):
    site = FastAPI(lifespan=lifespan)

    @site.get("/coroutine")
    async def coroutine(antq: AntQDep) -> int:
        job = await antq.aenqueue(double, {"number": 2})
        return await job.aresult(timeout=20)

    @site.get("/plain")
    def plain(antq: AntQDep) -> int:
        return antq.enqueue(double, {"number": 3}).result(timeout=20)

    return site


def test_a_lifespan_runs_the_application_as_long_as_the_site_and_again(app):
    site = site_with(asgi.lifespan(app))

    for _ in range(2):
        with TestClient(site) as client:
            assert client.get("/coroutine").json() == 4
            assert client.get("/plain").json() == 6
        assert not app.antq_is_running


def test_an_endpoint_gets_the_application_of_its_own_site(tmp_path):
    def named(name):
        app = AntQ(tmp_path / name, queues={"default": 1})
        site = FastAPI(lifespan=asgi.lifespan(app, queues=False))
        site.get("/")(where)
        return site

    def where(antq: AntQDep) -> str:
        return antq.path.name

    one, two = named("one"), named("two")
    one.mount("/below", other := FastAPI())
    other.get("/")(where)

    with TestClient(one) as of_one:
        assert of_one.get("/below/").json() == "one"
        with TestClient(two) as of_two:
            assert (of_one.get("/").json(), of_two.get("/").json()) == ("one", "two")
            with pytest.raises(NotStarted, match="lifespan"):
                of_one.get("/below/")


def test_queues_false_only_enqueues(app):
    with TestClient(site_with(asgi.lifespan(app, queues=False))):
        assert app.antq_is_running
        assert not app.runs_queues


def test_start_and_stop_are_called_once_in_a_thread_with_what_was_given(app, monkeypatch):
    calls = []
    for verb in ("start", "stop"):
        own = getattr(app, verb)

        def noted(verb=verb, own=own, **options):
            is_loop = threading.current_thread() is threading.main_thread()
            calls.append((verb, options, is_loop))
            return own(**options)

        monkeypatch.setattr(app, verb, noted)

    async def serve():
        async with asgi.lifespan(app, queues=True, timeout=7)(None) as yielded:
            assert yielded is None

    asyncio.run(serve())

    assert calls == [("start", {"queues": True}, False), ("stop", {"timeout": 7.0}, False)]


def test_one_that_runs_already_is_left_running(app):
    with app:
        with TestClient(site_with(asgi.lifespan(app, queues=False))):
            pass
        assert app.runs_queues


def test_wrap_runs_the_application_around_the_sites_own_lifespan(app):
    seen = []

    @asynccontextmanager
    async def own(site):
        seen.append(app.antq_is_running)
        yield {"database": site.title}
        seen.append(app.antq_is_running)

    async def serve():
        async with asgi.wrap(own, app)(FastAPI(title="shop")) as yielded:
            assert yielded == {"database": "shop"}

    asyncio.run(serve())

    assert seen == [True, True]
    assert not app.antq_is_running


def test_a_start_that_fails_fails_the_server(tmp_path):
    (tmp_path / "file").write_text("")
    app = AntQ(tmp_path / "file" / "jobs")

    with pytest.raises(StartError), TestClient(site_with(asgi.lifespan(app))):
        pass


def test_an_error_of_the_sites_own_lifespan_stops_the_application(app):
    @asynccontextmanager
    async def own(_):
        raise ConnectionError("no database")
        yield

    with pytest.raises(ConnectionError), TestClient(site_with(asgi.wrap(own, app))):
        pass
    assert not app.antq_is_running


def test_a_server_that_gives_up_while_the_application_starts_leaves_none_running(app, monkeypatch):
    begun = threading.Event()
    start = app.start

    def started(**options):
        begun.set()
        return start(**options)

    monkeypatch.setattr(app, "start", started)

    async def serve():
        async with asgi.lifespan(app)(None):
            await asyncio.sleep(60)

    async def give_up():
        serving = asyncio.create_task(serve())
        await asyncio.to_thread(begun.wait, 20)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(give_up())

    assert not app.antq_is_running


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("jobs",), {}, TypeError),
        ((), {"queues": "yes"}, TypeError),
        ((), {"timeout": -1}, ValueError),
        ((), {"timeout": "soon"}, TypeError),
    ],
)
def test_wrong_arguments_are_refused_at_once(app, arguments, options, error):
    with pytest.raises(error):
        asgi.lifespan(*(arguments or (app,)), **options)
    with pytest.raises(error):
        asgi.wrap(asgi.lifespan(app), *(arguments or (app,)), **options)
    with pytest.raises(error):
        AntQPlugin(*(arguments or (app,)), **options)


def test_litestar_runs_it_and_injects_it(app):
    @get("/coroutine")
    async def coroutine(antq: NamedDependency[AntQ]) -> int:
        job = await antq.aenqueue(double, {"number": 2})
        return await job.aresult(timeout=20)

    @get("/plain", sync_to_thread=True)
    def plain(antq: NamedDependency[AntQ]) -> int:
        return antq.enqueue(double, {"number": 3}).result(timeout=20)

    site = Litestar([coroutine, plain], plugins=[AntQPlugin(app)])

    with LitestarClient(site) as client:
        assert client.get("/coroutine").json() == 4
        assert client.get("/plain").json() == 6
    assert not app.antq_is_running
