"""Have the contestants measured: round after round, in each round all of them in turn.

Whatever goes wrong with one is reported and costs only that one its numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from comparison import environments, servers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from comparison.contestants import Contestant, Peer

HERE: Final = Path(__file__).parent.parent
SYNCHRONOUS_OFF: Final = "?options=-c%20synchronous_commit%3Doff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 3
    jobs: int = 1_000
    """Jobs that wait when a drain begins."""
    stored: int = 100_000
    """Jobs that wait when a drain of a large store begins."""
    concurrencies: tuple[int, ...] = (1, 5, 10, 50, 500)
    usual: int = 10
    """The concurrency for latencies and memory."""
    seconds: float = 0.8
    """How long each thing is measured."""
    window: float = 3.0
    """Seconds after which a drain that goes on is measured."""
    bound: float = 50.0
    """Milliseconds below which 99 of 100 jobs that arrive one by one are performed."""
    tries: int = 16
    """Rates that are tried, at most, in search of the highest that keeps to the bound."""
    limit: float = 150.0
    """Seconds in which a measurement has to end."""


FULL: Final = Size()
SHORT: Final = Size(
    rounds=1,
    jobs=50,
    stored=200,
    concurrencies=(5,),
    usual=5,
    seconds=0.1,
    window=2.0,
    bound=10_000.0,  # so that there is a rate on a busy machine, too
    tries=2,
    limit=30.0,
)


@dataclass(slots=True)
class Results:
    """What came of it, as it is written to a file."""

    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """By peer."""
    skipped: dict[str, str] = field(default_factory=dict)
    """By peer or by contestant and measure: why there is no number."""
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By contestant and measure: what each round has given."""

    def add(self, contestant: Contestant, measure: str, value: float | None) -> None:
        """Add what one round has given; None is nothing."""
        if value is not None:
            of_this = self.values.setdefault(contestant.name, {})
            of_this.setdefault(measure, []).append(value)

    def skip(self, what: str, why: str) -> None:
        """Print at once, and remember, why there is no number."""
        self.skipped[what] = why
        print(f"{what} skipped: {why}", file=sys.stderr)


def measured(size: Size, contestants: Collection[Contestant]) -> Results:
    """Install and start what *contestants* need, measure them, and stop everything."""
    results = Results()
    peers = list(dict.fromkeys(one.peer for one in contestants))
    pythons = _installed(peers, results)
    with contextlib.ExitStack() as stack:
        # Folders under one that others may pass through: PostgreSQL runs as another user.
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="antq-bench-")))
        urls = _started(stack, root, [peer for peer in peers if peer in pythons], results)
        entered = [
            Entered(one, pythons[one.peer], urls.get((one.peer.server, one.durable), ""))
            for one in contestants
            if one.peer in pythons
            and (one.peer.server is None or (one.peer.server, one.durable) in urls)
        ]
        for round_ in range(size.rounds):
            for one in entered:
                began = time.monotonic()
                for measure, value in one.round(size, results, first=round_ == 0):
                    results.add(one.contestant, measure, value)
                took = time.monotonic() - began
                print(f"round {round_ + 1}: {one.contestant.name}, {took:.0f} s", file=sys.stderr)
    return results


def _installed(peers: list[Peer], results: Results) -> dict[Peer, Path]:
    pythons = {}
    for peer in peers:
        try:
            pythons[peer] = environments.python_of(peer)
        except environments.NotInstalled as reason:
            results.skip(peer.name, str(reason))
        else:
            results.versions[peer.name] = environments.versions(peer, pythons[peer])
    return pythons


def _started(
    stack: contextlib.ExitStack, root: Path, peers: list[Peer], results: Results
) -> dict[tuple[str | None, bool], str]:
    """Start the servers that are needed; answer where they are, by kind and durability."""
    urls: dict[tuple[str | None, bool], str] = {}
    for kind in sorted({peer.server for peer in peers if peer.server}):
        try:
            folder = root / kind
            folder.mkdir()
            if kind == "postgresql":
                url = stack.enter_context(servers.postgresql(folder))
                urls |= {(kind, True): url, (kind, False): url + SYNCHRONOUS_OFF}
            else:
                for durable in (True, False):
                    url = stack.enter_context(servers.redis(folder, durable=durable))
                    urls[kind, durable] = url
            results.versions[kind] = {kind: servers.version(kind)}
        except servers.ServerMissing as reason:
            for peer in peers:
                if peer.server == kind:
                    results.skip(peer.name, str(reason))
    return urls


@dataclass(frozen=True, slots=True)
class Entered:
    """A contestant with everything it needs."""

    contestant: Contestant
    python: Path
    url: str

    def round(
        self, size: Size, results: Results, *, first: bool
    ) -> Iterator[tuple[str, float | None]]:
        """Measure everything once; the large store in the *first* round only, for its filling."""
        enqueued = self.measure(size, results, "enqueue", measure="enqueue", seconds=size.seconds)
        yield from ((f"enqueue, {how}", value) for how, value in enqueued.items())
        rates: dict[int, float] = {}
        allowed = self.contestant.peer.concurrencies
        for concurrency in (one for one in size.concurrencies if one in allowed):
            name = f"drain, {concurrency}"
            work = {"concurrency": concurrency, "jobs": size.jobs, "seconds": size.window}
            drained = self.measure(size, results, name, measure="drain", **work)
            if "rate" in drained:
                rates[concurrency] = drained["rate"]
                yield name, drained["rate"]
        idle = self.measure(
            size, results, "idle", measure="idle", concurrency=size.usual, seconds=2 * size.seconds
        )
        yield from ((f"idle, {what}", value) for what, value in idle.items())
        if not rates:
            return
        yield "drain, best", max(rates.values())
        best = max(rates, key=rates.__getitem__)
        if enqueued.get("one") and size.usual in rates:
            half = min(enqueued["one"], rates[size.usual]) / 2
            yield from self._arrivals(size, results, half)
        if first:
            work = {"concurrency": best, "jobs": size.stored, "seconds": size.window}
            drained = self.measure(size, results, "stored", measure="drain", **work)
            yield "drain, stored", drained.get("rate")

    def _arrivals(
        self, size: Size, results: Results, half: float
    ) -> Iterator[tuple[str, float | None]]:
        """Measure jobs that arrive one by one: at *half* of what it can, and as fast as it can."""
        work = {"concurrency": size.usual, "rate": half, "seconds": 2 * size.seconds}
        loaded = self.measure(size, results, "load", measure="load", **work)
        yield from ((f"load, {what}", value) for what, value in loaded.items())
        work |= {"bound": size.bound, "tries": size.tries}
        found = self.measure(size, results, "sustained", measure="sustained", **work)
        yield from ((f"sustained, {what}", value) for what, value in found.items())

    def measure(self, size: Size, results: Results, what: str, **task: Any) -> dict[str, Any]:
        """Run one measurement; what has failed once is not tried again."""
        name = f"{self.contestant.name}: {what}"
        if name in results.skipped:
            return {}
        try:
            return self._run(size.limit, task)
        except Failed as reason:
            results.skip(name, str(reason))
            return {}

    def _run(self, limit: float, task: dict[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="antq-bench-") as folder:
            one = self.contestant
            setup = {
                "name": one.peer.name,
                "durable": one.durable,
                "folder": folder,
                "url": self.url,
                "variant": one.variant,
            }
            # Into files: a pipe would be waited for as long as anyone has its other end.
            out, err = Path(folder, "answer"), Path(folder, "errors")
            with out.open("w") as answer, err.open("w") as errors:
                process = subprocess.Popen(
                    [str(self.python), "-m", "peers", one.peer.name, json.dumps(task)],
                    cwd=folder,
                    env=_environment() | {"BENCH_SETUP": json.dumps(setup)},
                    stdout=answer,
                    stderr=errors,
                    start_new_session=True,  # so that all of it can be killed
                )
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                raise Failed(f"did not end within {limit:g} s") from None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.returncode:
                said = err.read_text(errors="replace").strip().splitlines()
                raise Failed((said or [f"ended with {process.returncode}"])[-1])
            found: dict[str, Any] = json.loads(out.read_text().splitlines()[-1])
            return found


class Failed(Exception):
    """One measurement gave no number; says why."""


def _environment() -> dict[str, str]:
    """Return what the measuring processes may import: the contestants, and the package itself."""
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    return {**os.environ, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"}
