"""What exists while an application runs, and only then."""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from antq_actors.app import tree
from antq_actors.app.enqueue import Enqueuer
from antq_actors.app.queries import JobQueries
from antq_actors.app.queue_handle import QueueHandle
from antq_actors.app.served_queues import ServedQueues
from antq_actors.app.shutdown import end
from antq_actors.app.waiting import IdleWait
from antq_actors.checks import exact_str, list_known, short_repr
from antq_actors.errors import NotStarted, StartError, StorageError, UnknownQueue
from antq_actors.jobs import instant
from antq_actors.otp.messaging.names import registered, whereis
from antq_actors.queues.node import Node
from antq_actors.storage.admin import maintenance, transfer
from antq_actors.storage.client import StorageClient
from antq_actors.storage.lmdb.directory import VolatileDirectory
from antq_actors.storage.lmdb.environment import Environment, close_left_open, opened
from antq_actors.storage.locks import node_lock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from antq_actors.app import config as configuration
    from antq_actors.jobs.state import Statuses
    from antq_actors.otp.kernel.ref import ServerRef
    from antq_actors.storage.admin.transfer import Imported

REOPEN_TIMEOUT_SECONDS: Final = 30.0
"""Seconds that a storage actor has to come back."""
POLL_SECONDS: Final = 0.01

_taking: Final = threading.RLock()
_taken: Final[set[tree.Names | None]] = set()


class Runtime:
    """All that exists while an application runs. Its store answers when the tree has started."""

    def __init__(self, settings: configuration.Config, *, runs_queues: bool) -> None:
        self.pid = os.getpid()
        self._settings = settings
        self.runs_queues = runs_queues
        self.names = _free_names()
        self.volatile: VolatileDirectory | None = None
        self.path = settings.path or Path()
        try:
            if settings.path is None:
                self.volatile = VolatileDirectory()
                self.path = self.volatile.path
            self._begin(settings)
        except BaseException:
            self.abandon()
            raise

    def _begin(self, settings: configuration.Config) -> None:
        self.store = StorageClient(self.names.storage, self.path)
        metadata = node_lock.describe(
            {
                name: node_lock.QueueInfo(queue.concurrency, queue.executor)
                for name, queue in settings.queues.items()
            }
        )
        self.node = Node(self.store, settings.queues, metadata)
        # What this process runs itself needs no look, and nobody else runs what is in its memory.
        looks = settings.path is not None and not self.runs_queues
        served = ServedQueues(self.store) if looks else None
        self.enqueuer = Enqueuer(settings, self.store, instant.now, served=served)
        self.queries = JobQueries(self.store, instant.now, settings.queues, served=served)
        self.idle = IdleWait(self.store, settings.queues, instant.now)
        self._root: ServerRef | None = None
        self.is_stopping = False
        """Whether ``stop`` has begun: its queues claim nothing more."""

    def start(self) -> None:
        """Start the tree. Raises otp.OtpError when it cannot start: then ``abandon`` it."""
        self._root = tree.start(
            self._settings,
            self.names,
            self.path,
            self.store,
            self.node,
            runs_queues=self.runs_queues,
        )

    def check_queues(self, queues: bool | None) -> None:  # noqa: FBT001 - as ``start`` was told
        """Raise StartError when it runs with its queues and *queues* says not to, or without."""
        if queues in (None, self.runs_queues):
            return
        how = "with" if self.runs_queues else "without"
        raise StartError(
            f"this application is running already, {how} its queues; to change that, stop it first:"
            f" app.stop(), then app.start(queues={queues})"
        )

    def abandon(self) -> None:
        """Leave nothing behind of a start that failed, or into which Ctrl-C came."""
        root = whereis(self.names.root)
        if root is not None:
            self.store.close()
            end(root, self.node)
        self._leave_nothing()

    @property
    def root(self) -> ServerRef:
        """The root supervisor. Raises NotStarted until the tree is up."""
        if self._root is None:
            raise NotStarted("this application is being started, and its tree is not up yet")
        return self._root

    def environment(self) -> Environment:
        """Return the open store; its storage actor may be on its way back.

        Raises StorageError when it does not come back in time. Nobody else may open it meanwhile:
        the actor could not.
        """
        deadline = time.monotonic() + REOPEN_TIMEOUT_SECONDS
        while (env := opened(self.path)) is None:
            if time.monotonic() > deadline or self.store.closed.wait(POLL_SECONDS):
                raise StorageError(f"the store in {self.path} is not open")
        return env

    def queue(self, name: str) -> QueueHandle:
        """Return the queue of this name. Raises UnknownQueue, naming those that exist."""
        if not isinstance(name, str):
            raise TypeError(f"queue must be a name (str), got {short_repr(name)}")
        if self.runs_queues:
            known: Collection[str] = self._settings.queues
            actor = self.names.queue(exact_str(name))
        else:
            known = {*self._settings.queues, *self.store.known_queues()}
            actor = None
        if name not in known:
            raise UnknownQueue(f"there is no queue {name!r}{list_known(name, known)}")
        return QueueHandle(exact_str(name), actor, self.store)

    def verify(self) -> list[str]:
        """Return what is wrong with the store, one sentence each."""
        return maintenance.findings(self.environment(), self._settings.signing_keys)

    def backup(self, target: str | os.PathLike[str]) -> Path:
        """Copy the store as it is now to the new directory *target*; return its path."""
        return maintenance.copy_to(self.environment(), target)

    def export_jobs(self, status: Statuses | None, queue_name: str | None) -> Iterator[bytes]:
        """Return lines of JSON: a head, then one for each job that passes both filters, by id."""
        return transfer.export_jobs(self.store, self.queries.filter(status, queue_name))

    def import_jobs(self, lines: Iterable[str | bytes]) -> Imported:
        """Store the jobs of an export as they were."""
        return transfer.import_jobs(self.store, lines)

    def discard(self) -> None:
        """Let nobody wait for what is gone, and leave nothing open."""
        self.store.close()
        self._leave_nothing()

    def _leave_nothing(self) -> None:
        close_left_open(self.path, self.names)
        _taken.discard(self.names)
        if self.volatile is not None:
            self.volatile.remove()


def _free_names() -> tree.Names:
    """Return names that no other application in this process has: antq, antq2, …

    Nor has had, as long as one of its actors is left: a tree that was killed takes a moment to end.
    """
    names: tree.Names | None = None
    try:
        with _taking:
            roots = {name.partition(".")[0] for name in registered()}
            candidates = (tree.Names("antq" if n == 1 else f"antq{n}") for n in itertools.count(1))
            names = next(n for n in candidates if n not in _taken and n.root not in roots)
            _taken.add(names)
    except BaseException:  # Ctrl-C, say, when it was done
        _taken.discard(names)
        raise
    return names
