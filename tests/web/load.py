# ruff: noqa: T201 - a program that prints how it went
"""The web servers of examples/web under load, while the program that runs their jobs is killed.

    make web SECONDS=30 RATE=200 KILLS=3

Requests are sent at a fixed rate, however long the answers take; each enqueues a job. Meanwhile
``antq start`` is killed with SIGKILL and started again. Exits with 1 when a request was not
answered with 202, or a job that was accepted is not completed in the end.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from shop_servers import (
    GUNICORN_FLASK,
    GUNICORN_KIOSK,
    HYPERCORN,
    START,
    START_FLASK,
    START_KIOSK,
    START_LITESTAR,
    START_QUART,
    UVICORN,
    UVICORN_LITESTAR,
    Shop,
    kill,
)
from support.apps import until

from antq_actors import ACTIVE, AntQ, Status

WORKERS = ["--workers", "2"]
SITES = {
    "fastapi": ([*UVICORN, *WORKERS], START),
    "litestar": ([*UVICORN_LITESTAR, *WORKERS], START_LITESTAR),
    "flask": ([*GUNICORN_FLASK, "--preload", "--threads", "8"], START_FLASK),
    "quart": ([*HYPERCORN, *WORKERS], START_QUART),
    "django": ([*GUNICORN_KIOSK, "--preload", "--threads", "8"], START_KIOSK),
}
MODULES = {"django": "kiosk/tasks.py"}
"""Where the job of a site is, if it is no worker in shop/jobs.py but a task."""
SLEEPS = "__import__('time').sleep(0.02)"
"""What each job does as well, so that some run when their program is killed."""
HANGS_AFTER = 30.0
"""Seconds without an answer."""


class Load:
    """What was asked of a server, and what it answered."""

    def __init__(self, url):
        self.url = url
        self.accepted = []
        """The id of each job, and its order."""
        self.seconds = []
        self.problems = []

    async def send(self, rate, seconds):
        """Send so many requests a second, and wait for the last answer."""
        begun = time.monotonic()
        async with asyncio.TaskGroup() as requests:
            for order in range(round(rate * seconds)):
                await asyncio.sleep(begun + order / rate - time.monotonic())
                requests.create_task(self._request(order))
        self.took = time.monotonic() - begun

    async def _request(self, order):
        begun = time.monotonic()
        try:
            async with asyncio.timeout(HANGS_AFTER):
                status, body = await self._answer(order)
        except (OSError, TimeoutError) as error:
            self.problems.append(f"order {order}: {error!r}")
            return
        self.seconds.append(time.monotonic() - begun)
        if status == "202":
            self.accepted.append((int(json.loads(body)["id"]), order))
        else:
            self.problems.append(f"order {order}: {status} {body}")

    async def _answer(self, order):
        """Return status and body. A library for HTTP would need more of the processor for it."""
        url = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        line = f"POST /orders/{order}/receipt?email=jane%40example.com HTTP/1.1"
        more = f"Host: {url.netloc}\r\nContent-Length: 0\r\nConnection: close"
        writer.write(f"{line}\r\n{more}\r\n\r\n".encode())
        try:
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        finally:
            writer.close()
        return head[9:12], body


def run(shop, site, *, rate, seconds, kills):
    """Print what was done with one site; return what went wrong."""
    server, start = SITES[site]
    module = shop.folder / MODULES.get(site, "shop/jobs.py")
    module.write_text(
        module.read_text().replace("    receipts = ", f"    {SLEEPS}\n    receipts = ")
    )
    jobs = [shop.run_jobs(start)]
    shop.serve(server)
    load = Load(shop.url)

    async def kill_now_and_then():
        for _ in range(kills):
            await asyncio.sleep(seconds / (kills + 1))
            await asyncio.to_thread(kill, jobs[-1])
            jobs.append(shop.run_jobs(start))

    async def both():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.send(rate, seconds))
            tasks.create_task(kill_now_and_then())

    asyncio.run(both())
    load.problems += _look_at_jobs(shop, load)
    _print(site, load, jobs)
    return load.problems


def _look_at_jobs(shop, load):
    """Wait until the jobs have ended; return what is not as it was promised."""
    with AntQ(shop.folder / "jobs", start_queues=False) as app:
        until(lambda: not app.count_jobs(status=ACTIVE), "the end of all jobs")
        found = {job.id: job for job in app.list_jobs(limit=None)}
    load.interrupted = sum(job.interruptions for job in found.values())
    problems = []
    for id_, order in load.accepted:
        job = found.get(id_)
        if job is None or job.status is not Status.COMPLETED or _order_of(job) != order:
            problems.append(f"order {order}: its job {id_} is {job}")
        elif not (shop.folder / "receipts" / f"{order}.txt").exists():
            problems.append(f"order {order}: its job {id_} is completed without a receipt")
    return problems


def _order_of(job):
    return job.args.get("kwargs", job.args)["order"]  # of a task, or of a worker


def _print(site, load, jobs):
    milliseconds = sorted(1000 * each for each in load.seconds) or [0.0]
    for name, value in (
        ("site", site),
        ("requests answered", len(milliseconds)),
        ("a second", f"{len(milliseconds) / load.took:.0f}"),
        ("jobs accepted", len(load.accepted)),
        ("kills", len(jobs) - 1),
        ("executions interrupted", load.interrupted),
        ("answer, median", f"{statistics.median(milliseconds):.1f} ms"),
        ("answer, 99 of 100", f"{milliseconds[int(0.99 * (len(milliseconds) - 1))]:.1f} ms"),
        ("answer, longest", f"{milliseconds[-1]:.1f} ms"),
    ):
        print(f"{name:<30}{value}")


def main(arguments=None):
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", nargs="+", choices=SITES, default=list(SITES))
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--kills", type=int, default=3)
    options = parser.parse_args(arguments)
    problems = []
    for site in options.sites:
        folder = Path(tempfile.mkdtemp(prefix="antq-web-"))
        shop = Shop(folder)
        try:
            found = run(shop, site, rate=options.rate, seconds=options.seconds, kills=options.kills)
        finally:
            for program in shop.programs:
                if program.poll() is None:
                    kill(program)
        problems += [f"{site}: {problem}" for problem in found]
        if found:
            print(f"{len(found)} findings; all is kept in {folder}")
        else:
            shutil.rmtree(folder)
    for problem in problems[:20]:
        print(f"- {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
