"""Signals that something has changed, and the parts of pages that are fetched anew."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.lowlevel
import pytest
from dashboard.pages import Html
from dashboard.sites import site

from antq_actors import AntQ, Job, Worker
from antq_actors.insights import Insights
from antq_actors.web import Access, Visitor, dashboard
from antq_actors.web.live import LONGEST_PAUSE, LOOK_SECONDS, MOST_OF_ONE, MOST_STREAMS, Pace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from antq_actors.web import Dashboard

WAIT = 30


class Send(Worker, queue="mail"):
    def perform(self, job: Job) -> None:
        pass


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    with AntQ(path=tmp_path / "jobs", queues={"mail": 2, "a b": 1}) as app:
        app.queue("mail").pause()
        yield app


class Reader:
    """Reads the stream of a dashboard, as a browser does."""

    def __init__(self, shown: Dashboard) -> None:
        self._shown = shown
        self._gone = anyio.Event()
        self._sending, self._receiving = anyio.create_memory_object_stream[bytes](100)
        self.status = 0
        self.answered = anyio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._sending.close()
        self._receiving.close()

    async def run(self) -> None:
        scope = {
            "type": "http", "method": "GET", "path": "/live", "root_path": "", "headers": [],
            "query_string": b"", "scheme": "http", "server": ("localhost", 80),
        }  # fmt: skip
        async with self._sending:
            await self._shown(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)
        self.answered.set()
        if message.get("body"):
            await self._sending.send(message["body"])

    async def events(self) -> AsyncIterator[tuple[str, Any]]:
        async for part in self._receiving:
            if part.startswith(b"event: "):
                name, data = part.decode().strip().split("\n")
                yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    def leave(self) -> None:
        self._gone.set()


def shown(app: AntQ, name: str | None = None) -> Dashboard:
    return dashboard(app, access=lambda _: Visitor(Access.READ, name))


def test_a_stream_begins_with_the_counts_and_tells_what_changes(app: AntQ) -> None:
    async def look() -> list[tuple[str, Any]]:
        found = []
        with anyio.fail_after(WAIT), Reader(shown(app)) as reader:
            async with anyio.create_task_group() as group:
                group.start_soon(reader.run)
                async for event in reader.events():
                    found.append(event)
                    if len(found) == 1:
                        await anyio.to_thread.run_sync(lambda: app.enqueue(Send, {}))
                    if event[0] == "counts" and event[1]["waiting"] == 1:
                        reader.leave()
        return found

    found = anyio.run(look)
    assert found[0] == ("counts", {"waiting": 0, "failed": 0})
    topics = {topic for name, data in found if name == "signal" for topic in data["topics"]}
    assert {"jobs", "counts", "queue:mail"} <= topics
    assert "queue:a b" not in topics


def test_streams_end_with_bye_when_the_server_stops(app: AntQ) -> None:
    async def look() -> list[str]:
        page = shown(app)
        names = []
        with anyio.fail_after(WAIT), Reader(page) as reader:
            async with anyio.create_task_group() as group:
                group.start_soon(reader.run)
                async for name, _ in reader.events():
                    names.append(name)
                    page.close()
        return names

    assert anyio.run(look)[-1] == "bye"


def test_a_stream_whose_application_stops_ends(app: AntQ) -> None:
    async def look() -> list[str]:
        names = []
        with anyio.fail_after(WAIT), Reader(shown(app)) as reader:
            async with anyio.create_task_group() as group:
                group.start_soon(reader.run)
                async for name, _ in reader.events():
                    names.append(name)
                    await anyio.to_thread.run_sync(app.stop)
        return names

    assert anyio.run(look)[-1] == "bye"


def test_a_stream_begins_with_the_state_that_pages_compare_with_theirs(app: AntQ) -> None:
    insights = Insights(app)

    async def begun() -> str:
        with anyio.fail_after(WAIT), Reader(shown(app)) as reader:
            async with anyio.create_task_group() as group:
                group.start_soon(reader.run)
                events = reader.events()
                assert (await anext(events))[0] == "counts"
                name, data = await anext(events)
                reader.leave()
        assert name == "begun"
        return data["mark"]

    before = insights.version().mark
    assert anyio.run(begun) == before
    app.enqueue(Send, {}, schedule_in=3600)

    assert anyio.run(begun) == insights.version().mark != before


@pytest.mark.parametrize(("name", "most"), [("ada", MOST_OF_ONE), (None, MOST_STREAMS)])
def test_beyond_the_cap_a_stream_is_refused_until_one_ends(
    app: AntQ, name: str | None, most: int
) -> None:
    async def look() -> tuple[int, int]:
        page = shown(app, name)
        with anyio.fail_after(WAIT), ExitStack() as stack:
            readers = [stack.enter_context(Reader(page)) for _ in range(most)]
            async with anyio.create_task_group() as group:
                for each in readers:
                    group.start_soon(each.run)
                for each in readers:
                    assert (await anext(each.events()))[0] == "counts"
                one_more, afterwards = (stack.enter_context(Reader(page)) for _ in range(2))
                await one_more.run()
                readers[0].leave()
                while len(page._streams) == most:
                    await anyio.lowlevel.checkpoint()
                group.start_soon(afterwards.run)
                assert (await anext(afterwards.events()))[0] == "counts"
                group.cancel_scope.cancel()
        return one_more.status, afterwards.status

    assert anyio.run(look) == (503, 200)


def test_many_at_once_do_not_get_past_the_cap(app: AntQ) -> None:
    async def look() -> list[int]:
        page = shown(app)
        with anyio.fail_after(WAIT), ExitStack() as stack:
            readers = [stack.enter_context(Reader(page)) for _ in range(MOST_STREAMS + 10)]
            async with anyio.create_task_group() as group:
                for each in readers:
                    group.start_soon(each.run)
                for each in readers:
                    await each.answered.wait()
                group.cancel_scope.cancel()
        return sorted(each.status for each in readers)

    assert anyio.run(look) == [200] * MOST_STREAMS + [503] * 10


def test_without_viewers_no_task_and_no_timer_is_left(app: AntQ) -> None:
    async def look() -> tuple[int, int]:
        page = shown(app)
        with anyio.fail_after(WAIT), Reader(page) as reader:
            async with anyio.create_task_group() as group:
                group.start_soon(reader.run)
                async for _ in reader.events():
                    reader.leave()
        return len(page._streams), len(asyncio.all_tasks())

    assert anyio.run(look) == (0, 1)


def test_dear_pages_make_signals_rarer() -> None:
    pace = Pace()
    assert pace.next_pause() == LOOK_SECONDS
    pace.note(0.02)
    assert pace.next_pause() == pytest.approx(5.0)
    assert pace.next_pause() == LOOK_SECONDS
    pace.note(60)
    assert pace.next_pause() == LONGEST_PAUSE


@pytest.mark.parametrize("region", ["overview", "queues", "queue?name=mail", "nodes"])
def test_a_region_is_answered_304_until_something_changes(app: AntQ, region: str) -> None:
    client = site(app)
    first = client.get(f"/region/{region}")
    assert first.status_code == 200
    tag = {"if-none-match": first.headers["etag"]}
    again = client.get(f"/region/{region}", headers=tag)
    app.enqueue(Send, {})
    changed = client.get(f"/region/{region}", headers=tag)
    # The third part of the tag is a span of ten seconds, which may have ended in between.
    assert again.status_code == 304 or again.headers["etag"] != first.headers["etag"]
    assert again.status_code == 200 or again.content == b""
    assert changed.status_code == 200


def test_a_region_is_a_part_of_its_page_with_links_that_hold_there(app: AntQ) -> None:
    client = site(app, prefix="/a/b")
    part = Html(client.get("/a/b/region/queue?name=mail").text)
    assert part.tagged("h1") == []
    assert part.all("slot")
    page = Html(client.get("/a/b/queue?name=mail").text)
    forms = {each["action"] for each in part.tagged("form")}
    assert forms <= {each["action"] for each in page.tagged("form")}


@pytest.mark.parametrize("region", ["nope", "about", "queue?name=nope", "queue", "..%2Fqueues"])
def test_a_region_that_there_is_not_is_refused(app: AntQ, region: str) -> None:
    assert site(app).get(f"/region/{region}").status_code in (400, 404)


def test_regions_and_streams_need_a_level(app: AntQ) -> None:
    client = site(app, Access.NONE)
    assert client.get("/live").status_code == 403
    assert client.get("/region/overview").status_code == 403
