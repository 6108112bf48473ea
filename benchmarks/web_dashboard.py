"""What the dashboard costs: how soon a page is there, how large it is, what viewers take from jobs.

Pages are asked of the ASGI application, without a network, of a store with very many jobs. For the
rest the dashboard is served as ``antq web`` does, and the viewers are another process: each has one
page open and its stream, and fetches the live part of the page as ``static/antq.js`` does.

    python benchmarks/web_dashboard.py --stored 1000000 --only pages
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from measure import (
    TIMEOUT_SECONDS,
    Measure,
    application,
    at,
    interleaved,
    kind,
    new_folder,
    parser,
    ratio,
    table,
)
from noop import drain
from stored import OTHER, fill, open_store
from web_viewers import Viewer

from antq_actors.web import Access, dashboard
from antq_actors.web.server import Serving, WebServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from antq_actors import AntQ
    from antq_actors.web import Dashboard

SLOTS: Final = 50
PAGES: Final = (
    "/",
    "/jobs",
    "/jobs?q=status:failed",
    "/jobs?q=arg.number:17",
    "/jobs/1",
    "/queues",
    f"/queue?name={OTHER}",
    "/tree",
    "/nodes",
    "/errors",
    "/charts",
    "/store",
)
VIEWED: Final = ("/", "/queues", "/queue?name=default", "/tree", "/jobs/1")
"""What the viewers look at, one each."""
MOST_MS: Final = 30
MOST_BYTES: Final = 60_000
_FILE: Final = re.compile(r'(?:src|href)="([^"]*static/[^"#]+)')


def bench(*, short: bool, stored: int, only: str | None) -> Iterator[Measure]:
    """Measure all parts, or *only* one."""
    parts: dict[str, Callable[[], Iterator[Measure]]] = {
        "pages": partial(_pages, 2 if short else 100, 2_000 if short else stored),
        "idle": partial(_idle, 0.2 if short else 10.0, 1 if short else 3),
        "viewers": partial(_viewers, 200 if short else 400_000, 1 if short else 3),
        "stop": partial(_stop, 1 if short else 5),
    }
    for name, part in parts.items():
        if only in (None, name):
            yield from part()


# ---- pages ---------------------------------------------------------------------------------------


def _pages(times: int, stored: int) -> Iterator[Measure]:
    """Ask for each page, in turn; the first time apart, as then templates are compiled."""
    with new_folder() as folder:
        path = Path(folder, "store")
        fill(path, stored, with_errors=True)
        with open_store(path) as app:
            shown = dashboard(app, access=lambda _request: Access.OPERATE)
            first = {page: _asked(shown, page)[1] for page in PAGES}
            took: dict[str, list[tuple[float, float]]] = {page: [] for page in PAGES}
            for _ in range(times):
                for page in PAGES:
                    took[page].append(_asked(shown, page)[1])
            yield from _times(first, took, stored)
            for page in PAGES:
                size = _first_load(shown, page)
                yield Measure(f"first load of {page}, compressed", "bytes", [size], "<= 60,000")


def _times(
    first: dict[str, tuple[float, float]], took: dict[str, list[tuple[float, float]]], stored: int
) -> Iterator[Measure]:
    for page, found in took.items():
        name = f"{page}, {stored:,} stored"
        goal = f"<= {MOST_MS}" if page in PAGES else ""
        for position, (what, most) in enumerate((("processor", ""), ("wall", goal))):
            values = [each[position] for each in found]
            yield Measure(f"{name}, {what}, first", "ms", [first[page][position]])
            yield Measure(f"{name}, {what}, p50", "ms", [at(0.5, values)])
            yield Measure(f"{name}, {what}, p95", "ms", [at(0.95, values)], most)


def _asked(shown: Dashboard, path: str) -> tuple[bytes, tuple[float, float]]:
    """Return what a page is, and the milliseconds that it took: of the processor, and in all."""
    began, used = time.perf_counter(), time.process_time()
    body = asyncio.run(_get(shown, path))
    ended = time.process_time(), time.perf_counter()
    return body, (1e3 * (ended[0] - used), 1e3 * (ended[1] - began))


async def _get(shown: Dashboard, target: str) -> bytes:
    path, _, query = target.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "scheme": "http",
        "server": ("localhost", 80),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await shown(scope, receive, send)
    if sent[0]["status"] != 200:
        raise RuntimeError(f"{target} was answered {sent[0]['status']}")
    return b"".join(message.get("body", b"") for message in sent)


def _first_load(shown: Dashboard, page: str) -> int:
    """Return the bytes of a page with all that it loads, each compressed."""
    body, _ = _asked(shown, page)
    here = urljoin("http://localhost", page)
    files = {urljoin(here, name) for name in _FILE.findall(body.decode())}
    parts = [body, *(_asked(shown, file.removeprefix("http://localhost"))[0] for file in files)]
    return sum(len(gzip.compress(part)) for part in parts)


# ---- a served dashboard --------------------------------------------------------------------------


@contextmanager
def _served(app: AntQ) -> Iterator[str]:
    """Serve the dashboard in the ``with`` block, at the URL that it is given."""
    server = WebServer(app, Serving(port=0), {})
    yield server.start()
    server.stop()


def _idle(seconds: float, rounds: int) -> Iterator[Measure]:
    """Take the processor time of a process in which nothing happens, with and without it."""
    with application(durable=True) as app:

        def alone() -> float:
            used = time.process_time()
            time.sleep(seconds)
            return 100 * (time.process_time() - used) / seconds

        def served() -> float:
            with _served(app):
                time.sleep(seconds / 10)  # until what belongs to starting is over
                return alone()

        values = interleaved(rounds, {"without": alone, "with": served})
    for name, shares in values.items():
        yield Measure(f"idle node {name} a served dashboard", "% core", shares)
    more = [ours - others for ours, others in zip(*reversed(values.values()), strict=True)]
    yield Measure("  a served dashboard without viewers", "% core", more, "<= 0.1")


def _viewers(jobs: int, rounds: int) -> Iterator[Measure]:
    """Drain without viewers, with five of one page, and with five of five pages, in turn."""
    watched: dict[str, tuple[str, ...]] = {
        "without viewers": (),
        "five at the overview": 5 * VIEWED[:1],
        "five at five pages": VIEWED,
    }
    for durable in (False, True):
        cpu: dict[str, list[float]] = {name: [] for name in watched}
        own: dict[str, list[float]] = {name: [] for name in watched}
        fetched: dict[str, list[float]] = {name: [] for name in watched}
        benches: dict[str, Callable[[], float]] = {
            name: partial(
                _drained, jobs, pages, cpu[name], own[name], fetched[name], durable=durable
            )
            for name, pages in watched.items()
        }
        values = interleaved(rounds, benches)
        alone = "without viewers"
        for name, rates in values.items():
            yield Measure(f"drain, {kind(durable=durable)}, {name}", "jobs/s", rates)
            yield Measure("  processor time of a job", "us", cpu[name])
            if name != alone:
                yield Measure("  parts fetched", "", fetched[name])
                yield ratio("  rate against none", rates, values[alone], ">= 0.99")
                yield ratio("  processor time against none", cpu[name], cpu[alone])
                yield Measure("  of it, the dashboard's threads", "%", own[name], "<= 1")


def _drained(
    jobs: int,
    pages: tuple[str, ...],
    cpu: list[float],
    own: list[float],
    fetched: list[float],
    *,
    durable: bool,
) -> float:
    """Return the jobs/s of a drain; add the processor time of a job, and what was fetched.

    *own*: the percentage of the processor time that the threads of the dashboard took. It varies
    less than rates and times of whole drains do.
    """
    with application(durable=durable, queues={"default": SLOTS}) as app, _served(app) as url:
        drain(app, 10)  # so that there is a job to look at
        with _watching(url, pages) as number:
            before, own_before = time.process_time(), _own_seconds()
            jobs_a_second = drain(app, jobs)
            used = time.process_time() - before
            cpu.append(1e6 * used / jobs)
            own.append(100 * (_own_seconds() - own_before) / used)
        fetched.append(sum(number))
    return jobs_a_second


def _own_seconds() -> float:
    """Return the processor time of the threads that serve the dashboard, and answer for it."""
    return sum(
        time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        for thread in threading.enumerate()
        if thread.name.startswith(("antq web", "AnyIO worker"))
    )


@contextmanager
def _watching(url: str, pages: tuple[str, ...]) -> Iterator[list[int]]:
    """Have another process look at *pages*; how many parts each has fetched is in the list then."""
    fetched: list[int] = []
    program = Path(__file__).with_name("web_viewers.py")
    command = [sys.executable, str(program), url, *pages]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as viewers:
        viewers.stdout.readline()  # all streams are open
        yield fetched
        fetched += json.loads(viewers.communicate("over\n", TIMEOUT_SECONDS)[0])


def _stop(rounds: int) -> Iterator[Measure]:
    seconds = []
    for _ in range(rounds):
        with application(durable=True) as app:
            server = WebServer(app, Serving(port=0), {})
            url = server.start()
            viewers = [Viewer(url, "/") for _ in range(5)]
            for each in viewers:
                each.open()
            began = time.perf_counter()
            server.stop()
            seconds.append(time.perf_counter() - began)
            for each in viewers:
                each.close()
    yield Measure("stop of a served dashboard, five streams open", "s", seconds, "< 1")


def main() -> None:
    """Be the program."""
    command_line = parser(__doc__)
    command_line.add_argument("--stored", type=int, default=1_000_000, help="jobs, for the pages")
    command_line.add_argument("--only", choices=("pages", "idle", "viewers", "stop"))
    given = vars(command_line.parse_args())
    file = given.pop("json")
    measures = list(bench(**given))
    print(table(measures))
    if file is not None:
        file.write_text(json.dumps([asdict(measure) for measure in measures]))


if __name__ == "__main__":
    main()
