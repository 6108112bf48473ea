"""What pages may cost, without a clock: bytes, transactions, and how often a part is rendered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import anyio
import pytest
from dashboard.sites import site

from antq_actors import AntQ, Job, Worker
from antq_actors.storage.lmdb.environment import Environment
from antq_actors.web import Access, Dashboard, dashboard, regions
from antq_actors.web.routes import Page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.testclient import TestClient

MOST_BYTES = 60_000
MOST_READS = 40
"""Transactions of a page of a store with two queues."""
JOBS = 300
VIEWERS = 5
WAIT = 30
FILE = re.compile(r'(?:src|href)="([^"]*static/[^"#]+)')
ABOUT = {"/jobs/{id:int}": "/jobs/1", "/queue": "/queue?name=mail"}
"""Pages that need to know of what."""


class Send(Worker, queue="mail", max_attempts=1):
    def perform(self, job: Job) -> None:
        raise ValueError(f"no route to {job.args['to']}")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AntQ]:
    """An application with one job that failed, and one that waits."""
    with AntQ(tmp_path / "jobs", queues={"mail": 2, "slow": 1}) as app:
        app.wait([Send.perform_async({"to": "ada@example.org"})], timeout=WAIT)
        app.queue("mail").pause()
        app.enqueue(Send, {"to": "grace@example.org"})
        yield app


def pages() -> list[str]:
    """Return the paths of all pages that can be opened without more than two jobs."""
    with AntQ(start_queues=False) as app:
        routes = [each for each in dashboard(app).routes if isinstance(each, Page)]
    paths = [ABOUT.get(each.path, each.path) for each in routes if each.has_page]
    return [each for each in paths if each in ABOUT.values() or not needs_more(each)]


def needs_more(path: str) -> bool:
    """Return whether a page is about one thing that these tests have none of."""
    return "{" in path or path in ("/error", "/cron", "/limit", "/bulk", "/tree/predict")


@pytest.mark.parametrize("path", pages())
def test_a_first_load_has_at_most_60_kb(app: AntQ, path: str) -> None:
    app.enqueue_many(Send, ({"to": f"{number}@example.org"} for number in range(JOBS)))
    client = site(app)
    answer = client.get(path)
    assert answer.status_code == 200
    files = {urljoin(str(answer.url), name) for name in FILE.findall(answer.text)}
    assert len(files) >= 4  # two scripts, a style and an icon
    assert sent_bytes(client, path) + sum(sent_bytes(client, each) for each in files) <= MOST_BYTES


def sent_bytes(client: TestClient, path: str) -> int:
    answer = client.get(path, headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    return int(answer.headers["content-length"])


def test_a_page_is_compressed_for_those_who_take_that(app: AntQ) -> None:
    client = site(app)
    whole = client.get("/jobs", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in whole.headers
    assert whole.headers["vary"] == "accept-encoding"
    for path in ("/jobs", "/region/queues"):
        whole = client.get(path, headers={"accept-encoding": "identity"})
        packed = client.get(path, headers={"accept-encoding": "gzip, br"})
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(whole.content)
        assert packed.text.startswith(whole.text[:200])


@pytest.mark.parametrize("path", pages())
def test_a_page_reads_as_often_with_many_jobs_as_with_two(
    app: AntQ, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = site(app)
    client.get(path)  # so that what is made at first use is there
    few = count_reads(client, path, monkeypatch)
    app.enqueue_many(Send, ({"to": f"{number}@example.org"} for number in range(JOBS)))
    many = count_reads(client, path, monkeypatch)
    assert 0 < many <= max(few, 1) + 2
    assert many <= MOST_READS


def count_reads(client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many read transactions the store has for a page.

    It is the fewest of five times, as the application reads for itself now and then.
    """
    return min(count_all_reads(client, path, monkeypatch) for _ in range(5))


def count_all_reads(client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch) -> int:
    reads: list[None] = []
    read = Environment.read

    def counted(self: Environment, work: Any) -> Any:
        reads.append(None)
        return read(self, work)

    with monkeypatch.context() as patched:
        patched.setattr(Environment, "read", counted)
        assert client.get(path).status_code == 200
    return len(reads)


@pytest.mark.parametrize("region", ["overview", "queues", "tree", "queue?name=mail", "job?id=1"])
def test_what_five_viewers_fetch_at_once_is_rendered_once(
    app: AntQ, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived: list[None] = []
    rendered: list[None] = []
    all_arrived = anyio.Event()
    render = regions.render_region

    def access(_request: object) -> Access:
        arrived.append(None)
        if len(arrived) == VIEWERS:
            all_arrived.set()
        return Access.READ

    def counted(*args: Any, **more: Any) -> str:
        rendered.append(None)
        anyio.from_thread.run(all_arrived.wait)
        return render(*args, **more)

    monkeypatch.setattr(regions, "render_region", counted)
    shown = dashboard(app, access=access)
    tags: list[str] = []

    async def fetch() -> None:
        tags.append(await tag_of(shown, f"/region/{region}"))

    async def fetch_all() -> None:
        with anyio.fail_after(WAIT):
            async with anyio.create_task_group() as group:
                for _ in range(VIEWERS):
                    group.start_soon(fetch)

    anyio.run(fetch_all)
    assert len(tags) == VIEWERS
    assert len(rendered) == len(set(tags))  # two, when a tag's ten seconds end in between


async def tag_of(shown: Dashboard, target: str) -> str:
    """Return the ETag of an answer."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": path, "root_path": "", "scheme": "http",
        "headers": [(b"host", b"localhost")], "query_string": query.encode(),
        "server": ("localhost", 80),
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await shown(scope, receive, send)
    assert sent[0]["status"] == 200
    return str(dict(sent[0]["headers"])[b"etag"])
