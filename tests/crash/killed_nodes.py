"""Nodes that are killed at random and replaced, for the programs that look what came of it.

Each is forked from a server that has imported everything and started nothing, so that a new one
takes milliseconds. It dies as any other process does.
"""

from __future__ import annotations

import faulthandler
import importlib
import logging
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from antq_actors import AntQ

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from contextlib import ExitStack
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext

LONGEST_SECONDS = 60
"""That a node may take to start."""

_fork_server = multiprocessing.get_context("forkserver")


def fork_server(module: str) -> ForkServerContext:
    """Return what forks processes from a server that has imported a *module* of this directory.

    The first to ask in a program decides what the server imports; the others import theirs then.
    """
    _fork_server.set_forkserver_preload(["killed_nodes", module])
    # The server is started by the first process, and imports as its parent does.
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([here, *sys.path]))
    return _fork_server


class FasterClock:
    """A time of day that goes so many times as fast as that of the system from now on."""

    def __init__(self, faster: int) -> None:
        self._faster = faster
        self._began = time.time_ns()

    def __call__(self) -> None:
        """Let this process go by it."""
        began, faster, real = self._began, self._faster, time.time_ns
        time.time_ns = lambda: began + (real() - began) * faster
        time.time = lambda: time.time_ns() / 1e9


class Nodes:
    """So many nodes of a store, each of which is replaced by another when it is killed."""

    def __init__(
        self,
        at_end: ExitStack,
        path: Path,
        *,
        module: str,
        many: int,
        chance: random.Random,
        slots: int = 8,
        before: Callable[[], None] | None = None,
    ) -> None:
        """Start them; each imports a *module* of this directory, and calls *before* first."""
        self._errors = path.with_name("errors")
        self._arguments = (f"{path}", f"{self._errors}", module, slots, before)
        self._chance = chance
        self.kills = 0
        """How many have been replaced."""
        self._alive: list[multiprocessing.process.BaseProcess] = []
        at_end.callback(self._end)
        fork_server(module)
        for _ in range(many):
            self._alive.append(self._start())

    def kill_one(self) -> None:
        """Kill any of them, and start another.

        Raises RuntimeError for a node that has ended by itself, and for one that does not start.
        """
        victim = self._chance.randrange(len(self._alive))
        _kill(self._alive.pop(victim))
        self._alive.append(self._start())
        self.kills += 1

    def kill_all(self) -> None:
        """Kill them for good; raise RuntimeError for a node that has ended by itself."""
        while self._alive:
            _kill(self._alive.pop())

    def _start(self) -> multiprocessing.process.BaseProcess:
        ours, theirs = _fork_server.Pipe()
        node = _fork_server.Process(target=_run, args=(theirs, *self._arguments), daemon=True)
        node.start()
        theirs.close()
        with ours:
            if not ours.poll(LONGEST_SECONDS):
                why = self._said_last()
                raise RuntimeError(f"a node did not start within {LONGEST_SECONDS} s: {why}")
            if not _said(ours):
                node.join()
                raise RuntimeError(f"a node ended with {node.exitcode}: {self._said_last()}")
        return node

    def _said_last(self) -> str:
        """Return the end of what nodes wrote to their standard error."""
        return self._errors.read_text()[-2000:]

    def _end(self) -> None:
        for each in self._alive:
            each.kill()


def _run(  # noqa: PLR0917 - of a process
    control: Connection,
    path: str,
    errors: str,
    module: str,
    slots: int,
    before: Callable[[], None] | None,
) -> None:
    """Be a node."""
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    logging.basicConfig(level=logging.CRITICAL)
    faulthandler.dump_traceback_later(LONGEST_SECONDS - 5)
    if before is not None:
        before()
    importlib.import_module(module)
    options = {"retention": None, "max_interruptions": 1_000_000}
    with AntQ(path, queues={"default": slots}, **options):
        faulthandler.cancel_dump_traceback_later()
        control.send("runs")
        multiprocessing.parent_process().join()


def _said(control: Connection) -> bool:
    try:
        return bool(control.recv())
    except EOFError:
        return False


def _kill(node: multiprocessing.process.BaseProcess) -> None:
    """Kill a node that is alive."""
    if node.exitcode is not None:
        raise RuntimeError(f"a node ended by itself, with {node.exitcode}")
    node.kill()
    node.join()
    node.close()
