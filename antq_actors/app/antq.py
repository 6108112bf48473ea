"""AntQ: the supervision tree as one object, and the door to its jobs."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Self, Unpack

from antq_actors import forked_child
from antq_actors.app import config as configuration
from antq_actors.app import job_process, limits, signals
from antq_actors.app.drain import drain, running_jobs
from antq_actors.app.job_verbs import JobVerbs
from antq_actors.app.runtime import Runtime, refuse_from_within, start_error, stop_tree
from antq_actors.errors import (
    AlreadyExists,
    ForkError,
    LimitReached,
    NotStarted,
    StartError,
    StorageError,
)
from antq_actors.events.hub import Hub
from antq_actors.executors.base import PROCESS
from antq_actors.executors.sent_middleware import pack_middleware
from antq_actors.jobs import current_app, everywhere, instant
from antq_actors.jobs.control import APPLICATION
from antq_actors.jobs.worker import in_thread
from antq_actors.otp.kernel import errors as otp_errors
from antq_actors.storage.gauges import read_gauges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from antq_actors.app.clock import TestClock
    from antq_actors.app.config import QueueConfig
    from antq_actors.app.job_process import JobProcessRuntime
    from antq_actors.flow.cron import Cron, Every
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.middleware import Middleware, Pipeline
    from antq_actors.jobs.options import JobOptions
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.storage.gauges import StoreGauges

log: Final = logging.getLogger("antq_actors.app")

EXIT_TIMEOUT_SECONDS: Final = 2.0
"""Seconds that running jobs get when the program ends without a ``stop``."""

_started: Final[list[AntQ]] = []
"""The applications that run, in the order in which they were started."""


class AntQ(JobVerbs):
    """The application: the supervision tree, and the door to its jobs.

    Describe it with ``AntQ(path, queues=…)``; nothing is opened then. ``with app:``, or ``start``
    and ``stop``, run it in a program of yours; ``run`` is a program that does nothing else. While
    it runs, ``enqueue`` and ``enqueue_many`` store jobs, ``list_jobs``, ``count_jobs`` and
    ``get_job`` look at them, ``cancel_job``, ``retry_job`` and ``delete_job`` change them,
    ``cancel_jobs``, ``retry_jobs`` and ``delete_jobs`` all that a filter finds, and
    ``queue(name)`` is the handle of a queue. A method that begins with ``a`` is the same for
    coroutines.

    >>> with AntQ() as app:
    ...     app.count_jobs()
    0
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        queues: Mapping[str, int | QueueConfig] | None = None,
        start_queues: bool = True,
        retention: float | timedelta | None = timedelta(days=14),
        max_interruptions: int = 3,
        signing_key_file: str | os.PathLike[str] | None = None,
        encryption_key_file: str | os.PathLike[str] | None = None,
        encrypt: Literal["all", "marked"] = "all",
        crons: Iterable[Cron | Every] = (),
        middleware: Sequence[Middleware | str] = (),
        clock: TestClock | None = None,
    ) -> None:
        """Describe an application; nothing is started or opened yet.

        *path* is the directory of a durable store, None a volatile one. *queues* maps names to
        concurrencies. With *start_queues* False it only enqueues and looks. *retention* is how
        long ended jobs are kept, None for ever. The *max_interruptions*-th crash of its node fails
        a job. *signing_key_file* holds the keys that jobs are signed with; without one they are
        looked for in ``ANTQ_SIGNING_KEYS``. With keys, nothing unsigned is run.
        *encryption_key_file* holds those that jobs are encrypted with, also read from
        ``ANTQ_ENCRYPTION_KEYS``: with keys all jobs are, or by *encrypt* ``"marked"`` those of
        workers with ``encrypted=True`` alone. *crons* are
        periodic entries, beside those that workers have as their option ``cron``. *middleware* is
        what is called around enqueuing and performing jobs, the outermost first: instances of
        :class:`Middleware`, and ``"module:Class"`` strings. *clock* tells the time in tests: a
        ``TestClock`` of ``antq_actors.testing``, for one application. Raises TypeError and
        ConfigError for values that make no sense, UnknownQueue for an entry of another queue.
        """
        self._config = configuration.check(
            path,
            queues,
            start_queues=start_queues,
            retention=retention,
            max_interruptions=max_interruptions,
            signing_key_file=signing_key_file,
            encryption_key_file=encryption_key_file,
            encrypt=encrypt,
            crons=crons,
            middleware=middleware,
            clock=clock,
        )
        limits.check(self._config.queues)
        self.antq_hub = Hub(path=self._config.path)
        if clock is not None:
            clock.antq_belongs_to(self)
            self.antq_hub.clock = clock.now
        self._changing = threading.RLock()
        self._running: Runtime | None = None
        self.antq_is_held = False
        """Whether something else than the lifespan of a site starts and stops it."""

    @classmethod
    def from_toml(cls, file: str | os.PathLike[str]) -> Self:
        """Describe an application by the ``[antq]`` section of a TOML file.

        Raises ConfigError for a file that cannot be read and for settings that make no sense.
        """
        return cls(**configuration.read_toml(file))

    def __repr__(self) -> str:
        where = "volatile" if self._config.path is None else str(self._config.path)
        runtime = self._running
        if runtime is None:
            return f"<AntQ {where} not started>"
        return f"<AntQ {where} started{'' if runtime.runs_queues else ' without queues'}>"

    def antq_described(self) -> tuple[Any, ...]:
        """Return how to describe the application again, for job processes of its workers."""
        return _described_again, (type(self), configuration.described(self._config))

    # ---- life -----------------------------------------------------------------------------

    def start(self, *, queues: bool | None = None) -> Self:
        """Start the supervision tree and return when it is up. Does nothing if it runs already.

        *queues* False: only enqueue and look here, whatever the description says; so the object
        that ``antq start`` runs with its queues serves a web process, too. True: run the queues.
        None: as described by *start_queues*.

        In a process that performs jobs of this application (``executor="process"``) nothing is
        started, which a warning says; it works there through the process that started it.

        Raises StartError, with what stopped it as its cause, when the tree cannot start; it is
        a StorageError as well when it was the store that cannot be opened. Then nothing is left
        behind. Also raises StartError when the application runs already and *queues* asks for the
        opposite; and, unless *queues* is False, in a process that performs jobs of another
        application. Raises TypeError for other values of *queues*.
        """
        configuration.check_runs_queues(queues)
        with self._changing:
            if self._running is not None:
                if os.getpid() != self._running.pid:
                    raise self._forked()
                if not self._running.is_stopping:
                    self._running.check_queues(queues)
                    return self
                self.stop()  # which Ctrl-C, say, had cut short
            runs_queues = self._config.start_queues if queues is None else queues
            runs_queues = runs_queues and not job_process.is_enqueue_only()
            if job_process.refuse_start(self._config.path, runs_queues=runs_queues):
                return self
            self._start(runs_queues=runs_queues)
        return self

    def _start(self, *, runs_queues: bool) -> None:
        limits.check(self._config.queues)  # which workers defined by now may contradict
        if runs_queues:
            self._set_up_middleware()
        if self.is_volatile and self.start_queues and not runs_queues:
            log.warning(
                "an application that keeps its jobs in memory is started without queues, so nothing"
                " can perform them; outside of tests, give it a path: AntQ('jobs')"
            )
        self.antq_hub.begin(runs_queues=runs_queues)
        runtime = Runtime(
            self._config, runs_queues=runs_queues, hub=self.antq_hub, changing=self._changing
        )
        try:
            self._running = runtime
            # Before the tree: a job that has waited begins before all of it is up, and may enqueue.
            current_app.enter(self, runtime.names.root)
            runtime.start()
            runtime.root.cell.watch(self, functools.partial(self._tree_ended, runtime))
            _started.append(self)
        except BaseException as error:
            current_app.leave(self)
            runtime.abandon()
            self.antq_hub.set_number(0)
            with suppress(ValueError):
                _started.remove(self)
            self._running = None
            if isinstance(error, otp_errors.OtpError):
                refusal = start_error(error)
                raise refusal from refusal.__cause__ or error
            raise

    def _set_up_middleware(self) -> None:
        """Set up the middleware in this process. Raises StartError, ConfigError."""
        pipeline = everywhere.current(self._config.middleware)
        if pipeline is None:
            return
        if any(queue.executor == PROCESS for queue in self._config.queues.values()):
            pack_middleware(pipeline)
        try:
            pipeline.set_up()
        except (Exception, SystemExit) as error:
            raise StartError(
                f"the application could not start: setup of its middleware {pipeline.begun} raised"
                f" {type(error).__name__}: {error}"
            ) from error

    def stop(self, *, timeout: float | timedelta = 30.0) -> None:
        """Stop: claim no more, wait up to *timeout* seconds for running jobs, interrupt the rest.

        What then still runs is given back to its queue, and nothing is counted. A thread that
        cannot be interrupted is abandoned after 5 s more and listed in ``otp.orphans()``. Stopped
        before or never started: does nothing. Raises RuntimeError in a job of this application,
        which it would wait for.
        """
        timeout = configuration.check_timeout(timeout)
        deadline = time.monotonic() + timeout
        runtime = self._running
        if runtime is not None:
            if os.getpid() != runtime.pid:
                self._running = None  # a fork has none of its actors, and leaves its parent's alone
                return
            # Before the lock: whoever holds it may be waiting for this very job.
            refuse_from_within(runtime.names.root)
        # Each step may be repeated: an exception may come between any two of them, and the handler
        # of a signal that comes in the middle may stop the application, too.
        with self._changing:
            runtime = self._running
            if runtime is None:
                return
            runtime.is_stopping = True
            if runtime.runs_queues:
                drain([runtime.names.queue(name) for name in self._config.queues], timeout)
            current_app.leave(self)  # not before: jobs that may end may also enqueue
            stop_tree(runtime.root, runtime.node)
            runtime.discard()
            with suppress(ValueError):
                _started.remove(self)
            if self._running is runtime:
                self._running = None
            self.antq_hub.flush(max(0.0, deadline - time.monotonic()))

    def hurry(self) -> None:
        """Let a ``stop`` that is under way wait no longer for running jobs."""
        runtime = self._running
        if runtime is not None and runtime.runs_queues:
            drain([runtime.names.queue(name) for name in self._config.queues], 0.0, wait=False)

    def run(self) -> None:
        """Start, wait for SIGINT, SIGTERM, SIGHUP or SIGQUIT, stop, and return.

        A second signal stops waiting for running jobs, unless it is a SIGHUP. A SIGHUP that the
        program ignores or handles is left to it. SIGQUIT prints the stacks of all threads first.
        Raises RuntimeError outside the main thread, which alone gets signals, and when the
        supervision tree gives up. Returns at once in a process that performs jobs of this
        application, see :meth:`start`.
        """
        config = self._config
        if not job_process.refuse_start(config.path, runs_queues=config.start_queues):
            if job_process.is_enqueue_only():
                self.start()
                return
            signals.run(self)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is KeyboardInterrupt:
            signals.note_ctrl_c(self)
        self.stop()

    @property
    def root(self) -> ServerRef:
        """The root supervisor of the application. Raises NotStarted."""
        return self._runtime().root

    @property
    def path(self) -> Path:
        """The directory of the store. Raises NotStarted for a volatile one that has none yet."""
        if self._config.path is not None:
            return self._config.path
        return self._runtime().path

    @property
    def is_volatile(self) -> bool:
        """Whether the application has no path: its jobs are in memory, for this process alone."""
        return self._config.path is None

    @property
    def start_queues(self) -> bool:
        """Whether it is described to run queues, which ``start()`` without an argument follows."""
        return self._config.start_queues

    @property
    def runs_queues(self) -> bool:
        """Whether the application is running in this process, with its queues."""
        runtime = self._running
        return runtime is not None and runtime.pid == os.getpid() and runtime.runs_queues

    def antq_add_middleware(self, middleware: Middleware) -> None:
        """Have a further middleware called, around all others; before the application starts."""
        self._config = configuration.with_middleware(self._config, middleware)

    @property
    def antq_is_running(self) -> bool:
        """Whether the application is running in this process, with or without its queues."""
        runtime = self._running
        return runtime is not None and runtime.pid == os.getpid() and not runtime.is_stopping

    @property
    def node(self) -> int:
        """The number of this process among those that run queues of the application's path.

        0 when it runs no queues.
        """
        runtime = self._running
        return runtime.node.number() if runtime is not None and self.runs_queues else 0

    def running_jobs(self) -> tuple[int, ...]:
        """Return the ids of the jobs that run in this process, also during a ``stop``."""
        runtime = self._running
        if runtime is None or not self.runs_queues:
            return ()
        return running_jobs([runtime.names.queue(name) for name in self._config.queues])

    @property
    def default_queue(self) -> str:
        """The queue of workers that name none: the first of its queues.

        An application that is described with ``start_queues=False`` and without queues takes the
        first one that a living node of its path runs, and "default" while it does not run itself
        or none lives. Then it raises StorageError when the store cannot be read.
        """
        runtime = self._running
        if runtime is None or runtime.pid != os.getpid():
            return next(iter(self._config.queues))
        return runtime.enqueuer.default_queue(max_age=0.0)

    # ---- jobs -----------------------------------------------------------------------------

    def enqueue(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Store a job of *worker* and return it; when it returns, a durable job is on disk.

        *worker* is a subclass of Worker or a function worker, *args* the mapping of its arguments.
        The options are those of the worker for this one job, ``queue``, ``max_attempts``,
        ``timeout``, ``unique`` and ``priority``; when it is due, ``schedule_in`` or
        ``schedule_at``; and ``meta``, which is kept beside its arguments (see
        :class:`antq_actors.JobOptions`).

        Raises AlreadyExists, InvalidSchedule, UnknownQueue, StorageError, NotStarted, ForkError,
        TypeError and ValueError; then nothing is stored.
        """
        runtime = self._running
        if runtime is None or os.getpid() != runtime.pid:
            return self._own(self._runtime().enqueuer.enqueue(worker, args, options))
        try:
            job = runtime.enqueuer.enqueue(worker, args, options)
        except (AlreadyExists, LimitReached) as error:
            if error.job is not None:
                self._own(error.job)
            raise
        job.__dict__[APPLICATION] = self  # as _own does: each job comes by here
        return job

    def enqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        /,
        **options: Unpack[JobOptions],
    ) -> list[int]:
        """Store a job for each item of an iterable of any length; return their ids in order.

        It is streamed in batches. The options are those of :meth:`enqueue`, for all of them.
        Duplicates of a unique worker are left out. Raises BatchError at the first bad item, from
        that item's own error.
        """
        return self._runtime().enqueuer.enqueue_many(worker, args_iterable, options)

    async def aenqueue(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Do what :meth:`enqueue` does, without stopping the event loop that awaits it.

        Cancelled while it waits, the job may be stored or not.
        """
        return await in_thread(self.enqueue, worker, args, **options)

    async def aenqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        /,
        **options: Unpack[JobOptions],
    ) -> list[int]:
        """Do what :meth:`enqueue_many` does, without stopping the event loop that awaits it.

        The iterable is read in another thread.
        """
        return await in_thread(self.enqueue_many, worker, args_iterable, **options)

    def antq_clock(self) -> Instant:
        """Return the time by which the application goes."""
        clock = self._config.clock
        return instant.now() if clock is None else clock.instants()

    def antq_time_passed(self) -> None:
        """Have everything that waits for its time look at the clock, which was set."""
        runtime = self._running
        if runtime is not None and runtime.pid == os.getpid():
            runtime.time_passed()

    # ---- inside ---------------------------------------------------------------------------

    def antq_prepare(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any], /
    ) -> NewJob:
        """Check a job that an attempt wants stored with its completion; store nothing.

        Raises what :meth:`enqueue` raises before it stores.
        """
        return self._runtime().enqueuer.prepare(worker, args, options)

    @property
    def antq_middleware(self) -> Pipeline | None:
        """What is called in this process around the enqueuing of jobs."""
        pipeline: Pipeline | None = self._runtime().enqueuer.middleware
        return pipeline

    def antq_check(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any], /
    ) -> NewJob:
        """Check a job as `antq_prepare` does; another process calls the middleware."""
        return self.antq_here().enqueuer.prepare(worker, args, options, is_elsewhere=True)

    def antq_check_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        options: Mapping[str, Any],
        /,
    ) -> tuple[list[NewJob], Exception | None]:
        """Check the jobs of a batch, up to the first that is refused; return that error, too."""
        return self.antq_here().enqueuer.check_many(worker, args_iterable, options)

    def antq_insert(self, new: NewJob, /) -> Job:
        """Store a job that was checked here."""
        return self._own(self.antq_here().enqueuer.insert(new))

    def antq_insert_many(self, news: list[NewJob], /) -> list[int]:
        """Store jobs that were checked here; return their ids."""
        return self.antq_here().enqueuer.insert_many(news)

    def antq_when_drained(self, call: Callable[[], object]) -> None:
        """Have *call* called when another process has had this node drained. Raises NotStarted."""
        self.antq_here().node_drain.when_done(call)

    def antq_gauges(self) -> StoreGauges | None:
        """Read the numbers of the store as they are now; None: it does not run in this process.

        Nor does it while it is being started. Raises StorageError.
        """
        try:
            runtime = self.antq_here()
            _ = runtime.root  # which is there when the tree is up
        except (NotStarted, ForkError):
            return None
        try:
            return read_gauges(
                runtime.store,
                self._config.queues if runtime.runs_queues else (),
                now=instant.from_datetime(self.antq_hub.clock()),
            )
        except StorageError:
            if runtime.is_stopping:  # and its store is closed
                return None
            raise

    def antq_here(self) -> Runtime:
        """Return what runs in this process, for what reads its store. Raises NotStarted."""
        runtime = self._runtime()
        if not isinstance(runtime, Runtime):  # that process calls its own parent
            raise NotStarted("this application runs in another process")
        return runtime

    def _runtime(self) -> Runtime | JobProcessRuntime:
        runtime = self._running
        if runtime is None:
            through_parent = job_process.of_parent(self._config.path)
            if through_parent is not None:
                return through_parent
            raise NotStarted(
                "this application is not running; start it with app.start(), app.run()"
                " or `with app:`"
            )
        if os.getpid() != runtime.pid:
            raise self._forked()
        return runtime

    @staticmethod
    def _forked() -> ForkError:
        return ForkError(
            "this process is a fork of the one that started this AntQ, and has none of its"
            " actors; make a new AntQ here (with gunicorn --preload: in post_fork)"
        )

    def _tree_ended(self, runtime: Runtime, _ref: ServerRef, _reason: object) -> None:
        """Close the store's client, as the root supervisor ended; unless stopped, it gave up."""
        try:
            self._make_way(runtime)
        finally:
            # Last: whoever learns by it that the tree has ended enqueues elsewhere the next time.
            runtime.store.close()

    def _make_way(self, runtime: Runtime) -> None:
        """Let workers enqueue to another application, as this one ended by itself."""
        if not self._changing.acquire(blocking=False):
            return  # it is being stopped, which does the same, or started anew
        try:
            if self._running is not runtime:
                return
            if runtime.store.removal() is not None:
                current_app.fall_behind(self)
            else:
                current_app.leave(self)
        finally:
            self._changing.release()


def _described_again(cls: type[AntQ], arguments: dict[str, Any]) -> AntQ:
    return cls(**arguments)


for _name, _verb in [each for base in JobVerbs.__mro__[:-1] for each in vars(base).items()]:
    if not _name.startswith("_"):
        # Python's errors about arguments show the name; pickle looks it up in the module.
        _verb.__qualname__, _verb.__module__ = f"AntQ.{_name}", __name__


@atexit.register
def _stop_started() -> None:
    """Stop the applications that still run when the program exits, the last started first."""
    for app in reversed(_started.copy()):
        with suppress(Exception):  # the others have to be stopped all the same
            app.stop(timeout=EXIT_TIMEOUT_SECONDS)


forked_child.at_end(_stop_started)
