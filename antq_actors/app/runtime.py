"""What exists while an application runs, and how it ends: drain the queues, then the tree."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import antq_actors
from antq_actors.app import limits, node_report, tree
from antq_actors.app.batches import Batches
from antq_actors.app.bulk import BulkChanges
from antq_actors.app.cron_handle import CronHandle
from antq_actors.app.cron_handle import infos as cron_infos
from antq_actors.app.drain import (
    RUNNING_TIMEOUT_SECONDS,
    STORE_TIMEOUT_SECONDS,
    NodeDrain,
    stop_queues,
)
from antq_actors.app.enqueue import Enqueuer, EnqueueTargets
from antq_actors.app.explaining import Explainer
from antq_actors.app.limit_handle import LimitHandle
from antq_actors.app.node_socket import NodeSocket
from antq_actors.app.queries import JobQueries
from antq_actors.app.queue_handle import QueueHandle
from antq_actors.app.results import ResultWait
from antq_actors.app.waiting import IdleWait
from antq_actors.app.workflows import Workflows
from antq_actors.checks import exact_str, list_known, short_repr
from antq_actors.errors import (
    AntqError,
    CronError,
    ForkError,
    NotStarted,
    StartError,
    StorageError,
    StoreNotOpened,
    UnknownQueue,
)
from antq_actors.events import BackedUp
from antq_actors.events.hub import Hub
from antq_actors.executors.thread import kind_for
from antq_actors.jobs import instant
from antq_actors.jobs.worker_registry import defined
from antq_actors.otp.inspect import recent
from antq_actors.otp.kernel import errors as otp_errors
from antq_actors.otp.kernel.cell import current_cell
from antq_actors.otp.kernel.errors import CallExit, OtpError
from antq_actors.otp.kernel.reasons import Killed, Shutdown
from antq_actors.otp.messaging import calls
from antq_actors.otp.messaging.links import exit as exit_
from antq_actors.otp.messaging.names import registered, whereis
from antq_actors.otp.supervision.supervisor import Supervisor
from antq_actors.queues.messages import GetProgress, GetStack, Wake
from antq_actors.queues.node import QueueNode
from antq_actors.queues.running_attempts import INTERRUPTION_TIMEOUT_SECONDS
from antq_actors.queues.services.cron import CronDeclarations, Fire
from antq_actors.queues.services.periodic import RunOnce
from antq_actors.storage.admin import maintenance, transfer
from antq_actors.storage.client import StorageClient
from antq_actors.storage.jobs import upkeep
from antq_actors.storage.jobs.charts import GAVE_UP
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.lmdb.directory import VolatileDirectory
from antq_actors.storage.lmdb.open_stores import close_left_open, opened
from antq_actors.storage.locks import node_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from threading import RLock

    from antq_actors.app import config as configuration
    from antq_actors.app.cron_handle import CronInfo
    from antq_actors.flow.limits import LimitInfo
    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import Statuses
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.storage.admin.transfer import Imported
    from antq_actors.storage.lmdb.environment import Environment

log: Final = logging.getLogger("antq_actors.app")


def stop_tree(root: ServerRef, node: QueueNode) -> None:
    """Stop the application's tree: what uses its node first, then the node, then the store."""
    stop_queues(root, node)
    try:
        calls.stop(root, Shutdown(), timeout=STORE_TIMEOUT_SECONDS + INTERRUPTION_TIMEOUT_SECONDS)
    except CallExit as error:
        if root.is_alive():
            log.error("the supervision tree is abandoned: %s", error)  # noqa: TRY400 - no news in it
            exit_(root, Killed())


REOPEN_TIMEOUT_SECONDS: Final = 30.0
"""Seconds that a storage actor has to come back."""
POLL_SECONDS: Final = 0.01
LONGEST_MARK: Final = 200
"""Characters of a mark in charts."""

_taking: Final = threading.RLock()
_taken: Final[set[tree.ActorNames | None]] = set()


def known_executor(
    queues: Mapping[str, configuration.QueueConfig], queue: str, worker_name: str
) -> str | None:
    """Return what performs the jobs of a queue and a worker; None: the worker is to be found."""
    worker, settings = defined(worker_name), queues.get(queue)
    if worker is None:
        return None
    return kind_for(worker, None if settings is None else settings.executor)


class Runtime:
    """All that exists while an application runs. Its store answers when the tree has started."""

    def __init__(
        self,
        settings: configuration.Config,
        *,
        runs_queues: bool,
        hub: Hub | None = None,
        changing: RLock,
    ) -> None:
        """Prepare what runs; *changing* is held while the application starts, stops or drains."""
        self.pid = os.getpid()
        self.node_drain = NodeDrain(self._queue_actors, changing, self._end_node)
        """The end of this node while the application goes on."""
        self._hub = Hub() if hub is None else hub
        self._settings = settings
        self.runs_queues = runs_queues
        clock = settings.clock
        self.clock: Callable[[], Instant] = instant.now if clock is None else clock.instants
        """Tells the time by which its jobs go."""
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
        self.store = StorageClient(self.names.storage, self.path, hub=self._hub, clock=self.clock)
        self.store.tracker.executor_of = partial(known_executor, settings.queues)
        recent.record()
        self.node = self._new_node(settings)
        # What this process runs itself needs no look, and nobody else runs what is in its memory.
        looks = settings.path is not None and not self.runs_queues
        served = EnqueueTargets(self.store) if looks else None
        self.enqueuer = Enqueuer(settings, self.store, self.clock, served=served)
        self.queries = JobQueries(
            *(self.store, self.clock, settings.queues),
            served=served,
            signer=settings.signer,
        )
        self.bulk = BulkChanges(self.store, self.clock, served=served)
        self.workflows = Workflows(self.store, self.enqueuer, self.clock, self._open_node)
        self.idle = IdleWait(self.store, settings.queues, self.clock)
        self.results = ResultWait(self.store, settings.signer, self.clock)
        self.batches = Batches(self.store, self.enqueuer, self.clock, self._open_node, self.results)
        self.explainer = Explainer(self.store, self.clock, settings.queues, self._progress_of)
        self.declarations = CronDeclarations()
        if self.runs_queues:
            self.declarations.entries = self.enqueuer.declarations(settings.crons)
        self._root: ServerRef | None = None
        self.is_stopping = False
        """Whether ``stop`` has begun: its queues claim nothing more."""

    def _new_node(self, settings: configuration.Config) -> QueueNode:
        if not self.runs_queues:  # for what it leaves open, so that others see when it has died
            return QueueNode(self.store, (), node_lock.describe({}))
        metadata = node_lock.describe(
            {
                name: node_lock.QueueInfo(queue.concurrency, queue.executor)
                for name, queue in settings.queues.items()
            },
            started_at=instant.datetime_for_display(self.clock()),
            version=antq_actors.__version__,
        )
        listener = None
        if settings.path is not None:  # nobody else opens what is in this process's memory
            listener = NodeSocket(
                self.path,
                node_report.answers(lambda: self.root, self._own_stack, self.node_drain.begin),
            )
        return QueueNode(
            self.store,
            settings.queues,
            metadata,
            declare=partial(limits.declare, self.store, settings.queues),
            clock=self.clock,
            listener=listener,
        )

    def start(self) -> None:
        """Start the application's supervision tree. If it raises otp.OtpError, call ``abandon``."""
        recent.on_gave_up(self.names.root, self._mark_end)
        self._root = tree.start(
            self._settings,
            self.names,
            self.path,
            self.store,
            self.node,
            declarations=self.declarations,
            runs_queues=self.runs_queues,
            clock=self.clock,
        )

    def _mark_end(self, supervisor: str, reason: str) -> None:
        """Have charts show that a supervisor of this process has given up."""
        number = self.node.opened_number
        where = f" of node {number}" if number else ""
        why = "" if self.is_encrypted else f": {reason}"  # which may be the text of a job's error
        text = f"supervisor {supervisor}{where} gave up{why}"
        self.store.mark_in_charts(GAVE_UP, text[:LONGEST_MARK])

    def check_queues(self, queues: bool | None) -> None:  # noqa: FBT001 - as ``start`` was told
        """Raise StartError if *queues* is not how the running application was started."""
        if queues in (None, self.runs_queues):
            return
        how = "with" if self.runs_queues else "without"
        raise StartError(
            f"this application is running already, {how} its queues; to change that, stop it first:"
            f" app.stop(), then app.start(queues={queues})"
        )

    def abandon(self) -> None:
        """Stop and close what is left of a start that failed, or into which Ctrl-C came."""
        root = whereis(self.names.root)
        if root is not None:
            self.store.close()
            stop_tree(root, self.node)
        self._leave_nothing()

    @property
    def root(self) -> ServerRef:
        """The root supervisor of the application. Raises NotStarted until the tree is up."""
        if self._root is None:
            raise NotStarted("this application is being started, and its tree is not up yet")
        return self._root

    @property
    def is_signed(self) -> bool:
        """Whether the application signs the jobs that it stores."""
        return bool(self._settings.signing_keys)

    @property
    def is_encrypted(self) -> bool:
        """Whether the application encrypts jobs, all or those of some workers."""
        return self._settings.cipher is not None

    @property
    def own_queues(self) -> tuple[str, ...]:
        """The names of the queues that run in this process."""
        return tuple(self._settings.queues) if self.runs_queues else ()

    def _queue_actors(self) -> list[str]:
        return [self.names.queue(name) for name in self.own_queues]

    def _end_node(self) -> bool:
        """Stop the queues, and let the rest go on; False: all of it is being stopped."""
        if self.is_stopping:
            return False
        stop_queues(self.root, self.node)
        self.runs_queues = False
        self.node = QueueNode(self.store, (), node_lock.describe({}))
        return True

    def environment(self) -> Environment:
        """Return the open LMDB environment; wait for a storage actor that is on its way back.

        Raises StorageError when that takes too long. Nobody else may open the store in the
        meantime: the actor could not.
        """
        deadline = time.monotonic() + REOPEN_TIMEOUT_SECONDS
        while (env := opened(self.path)) is None:
            if time.monotonic() > deadline or self.store.closed.wait(POLL_SECONDS):
                raise StorageError(f"the store in {self.path} is not open")
        return env

    def queue(self, name: str) -> QueueHandle:
        """Return the handle of the queue of this name. Raises UnknownQueue, naming known ones."""
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
        return QueueHandle(exact_str(name), actor, self.store, self.clock)

    def _progress_of(self, queue: str, node: int, id_: int) -> Progress | None:
        """Call the queue actor for what a job has reported; None: it does not run here."""
        progress: Progress | None = self._call_queue(queue, node, GetProgress(id_))
        return progress

    def stack_of(self, queue: str, node: int, id_: int) -> str | None:
        """Call the queue actor for where the thread of a job is; None: it is in none of ours."""
        stack: str | None = self._call_queue(queue, node, GetStack(id_))
        return stack

    def _own_stack(self, queue: str, id_: int) -> str | None:
        return self.stack_of(queue, self.node.opened_number or 0, id_)

    def _call_queue(self, queue: str, node: int, message: object) -> Any:
        """Call the actor of a queue about a job of a node; None: that is another, or it is busy."""
        is_here = self.runs_queues and queue in self._settings.queues
        if not is_here or node != self.node.opened_number:
            return None
        try:
            return calls.call(self.names.queue(queue), message, timeout=RUNNING_TIMEOUT_SECONDS)
        except CallExit:  # it is busy, or on its way back
            return None

    def _open_node(self) -> int:
        """Return the number by which others see that this process lives; become a node for that."""
        return self.node.number()

    def do_tasks(self) -> None:
        """Have this process go on with what is too much for one transaction, until it stops.

        Nodes do so anyway; without queues a process does it once it has begun such a change, or was
        asked how far one is, as there may be no node.
        """
        if not self.runs_queues:
            tree.start_flow(self.root, self.names, self.store, self.clock)

    def cron(self, name: str) -> CronHandle:
        """Return the handle of the periodic entry of this name, which need not be there."""
        return CronHandle(name, self.store, self.enqueuer, self._wake_cron)

    def crons(self) -> list[CronInfo]:
        """Read all periodic entries from the application's store, by name."""
        return cron_infos(self.store)

    def time_passed(self) -> None:
        """Have everything that waits for its time look at the clock, which was set.

        What the services had to do by then is done when this returns; the queues are woken.
        """
        if not self.runs_queues or self._root is None or self.is_stopping:
            return
        with suppress(AntqError, OtpError):
            _repeat(self.names.cron, Fire(), least=1)
            for child in Supervisor.which_children(self._root):
                if child.id == "pruner" and child.ref is not None:
                    _repeat(child.ref, RunOnce(), least=1)
        for name in self._settings.queues:
            calls.cast(self.names.queue(name), Wake())

    def _wake_cron(self) -> None:
        if self.runs_queues:
            calls.cast(self.names.cron, Fire())

    def limit(self, name: str) -> LimitHandle:
        """Return the handle of the limit of this name, whether there is one or not."""
        return LimitHandle(name, self.store, self.clock)

    def limits(self) -> list[LimitInfo]:
        """Return the limits that the store knows, by name."""
        return self.store.read(JobReader.limit_infos, self.clock())

    def verify(self) -> list[str]:
        """Read and check the whole store; return what is wrong with it, one sentence each."""
        env = self.environment()
        found = maintenance.findings(env, self._settings.signing_keys)
        with suppress(StorageError):  # what was found is to be known, whether it is noted or not
            upkeep.note_in(env, upkeep.VERIFIED, count=len(found))
        return found

    def backup(self, target: str | os.PathLike[str]) -> Path:
        """Copy the store as it is now to files in the new directory *target*; return its path."""
        copied = maintenance.copy_to(self.environment(), target)
        self._hub.tell(BackedUp, path=str(copied))
        return copied

    def export_jobs(self, status: Statuses | None, queue_name: str | None) -> Iterator[bytes]:
        """Return the stored jobs that pass both filters as lines of JSON, by id, after a head."""
        return transfer.export_jobs(self.store, self.queries.filter(status, queue_name))

    def import_jobs(self, lines: Iterable[str | bytes]) -> Imported:
        """Store the jobs of an export as they were, in the application's store."""
        return transfer.import_jobs(self.store, lines, open_node=self._open_node)

    def discard(self) -> None:
        """Close the store's client and environment, so that nobody waits for what is gone."""
        self.store.close()
        self._leave_nothing()

    def _leave_nothing(self) -> None:
        recent.forget_root(self.names.root)
        close_left_open(self.path, self.names)
        _taken.discard(self.names)
        if self.volatile is not None:
            self.volatile.remove()


def _repeat(service: str | ServerRef, request: Fire | RunOnce, *, least: int) -> None:
    """Call a service until it has done less than so much at once."""
    while calls.call(service, request, timeout=STORE_TIMEOUT_SECONDS) >= least:
        continue


def _free_names() -> tree.ActorNames:
    """Return names for actors that no other application in this process has: antq, antq2, …

    Nor has had, as long as one of its actors is left: a tree that was killed takes a moment to end.
    """
    names: tree.ActorNames | None = None
    try:
        with _taking:
            roots = {name.partition(".")[0] for name in registered()}
            numbered = ("antq" if n == 1 else f"antq{n}" for n in itertools.count(1))
            free = (tree.ActorNames(root) for root in numbered if root not in roots)
            names = next(each for each in free if each not in _taken)
            _taken.add(names)
    except BaseException:  # Ctrl-C, say, when it was done
        _taken.discard(names)
        raise
    return names


def start_error(error: otp_errors.OtpError) -> Exception:
    """Return what ``AntQ.start`` raises from the *error* of its supervision tree."""
    cause: BaseException | None = error
    while isinstance(cause, otp_errors.StartError):
        cause = cause.__cause__
    if isinstance(cause, StorageError):
        _drop_frames(error, cause)
        return StoreNotOpened(str(cause))
    if isinstance(cause, ForkError):
        return cause
    if isinstance(cause, CronError):
        refused = StartError(f"the application could not start: {cause}")
        refused.__cause__ = cause
        return refused
    return StartError(f"the application could not start: {error}")


def _drop_frames(error: BaseException | None, last: BaseException) -> None:
    """Remove the tracebacks of a start's *error* and its causes, but not that of *last*.

    A store that is refused is no bug of ours, and 14 frames of this package would hide that. What
    *last* was raised from keeps its frames.
    """
    while error is not None:
        error.__traceback__ = None
        error = None if error is last else error.__cause__


def refuse_from_within(root: str) -> None:
    """Raise RuntimeError in a job or an actor of the application: a stop would wait for it."""
    if is_within(root):
        raise RuntimeError(
            "stop() was called by a job or an actor of this very application, which would wait"
            " for itself; call it from the thread that started it"
        )


def is_within(root: str) -> bool:
    """Return whether the caller is a job or an actor of the application with this root."""
    cell = current_cell()
    while cell is not None:
        if cell.name == root:
            return True
        cell = None if cell.parent is None else cell.parent.cell
    return False
