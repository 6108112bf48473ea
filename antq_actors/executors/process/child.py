"""The program in the OS process of a slot: performs what it is sent, one attempt after the other.

It has no actor, no store and no application. What an attempt wants of those goes over the pipe:
log records, progress, and jobs that it enqueues.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from antq_actors.executors import places
from antq_actors.executors.base import attempt_runner
from antq_actors.executors.process import wire
from antq_actors.executors.process.output import LogsToParent, PipeHandler
from antq_actors.executors.process.parent_connection import (
    ParentConnection,
    PipeApplication,
    PipeControl,
)
from antq_actors.executors.sent_middleware import SentPipeline
from antq_actors.jobs import current_app, worker_registry
from antq_actors.jobs.attempt_error import describe, trace
from antq_actors.jobs.control import Terminated
from antq_actors.jobs.middleware import Pipeline
from antq_actors.jobs.perform import Attempt
from antq_actors.storage import main_objects

if TYPE_CHECKING:
    from types import FrameType

    from antq_actors.jobs.outcome import Outcome

_PR_SET_PDEATHSIG: Final = 1
_STATM: Final = Path("/proc/self/statm")


class _ProcessChild:
    """Performs one attempt after the other."""

    def __init__(self, parent: ParentConnection, boot: wire.Boot, dumped: int) -> None:
        self._parent = parent
        self._dumped = dumped
        """The pipe to which faulthandler writes where an attempt is."""
        self._job_id = 0
        self._locate_pending = False
        self._place_sent = False
        self._boot = boot
        self._application = PipeApplication(parent, boot.path)
        self._performs = False
        self._logs = LogsToParent(PipeHandler(parent), lambda: self._performs)
        self._waits = False
        """For an order, or for the import of a module."""
        self._is_ending = False

    def take_over(self) -> None:
        """Set up signals, logging and the application of a job process, before any attempt."""
        faulthandler.enable()  # shows where a segfault was
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._parent.on_breakable = self._on_breakable
        signal.signal(signal.SIGTERM, self._on_sigterm)
        # First to the pipe, as it is done at once, also while the attempt is in C code; then here,
        # where more is known: at the next bytecode, if there is one before the kill.
        signal.signal(wire.LOCATE, self._on_locate)
        faulthandler.register(wire.LOCATE, file=self._dumped, all_threads=False, chain=True)
        os.register_at_fork(
            before=_block_sigterm, after_in_parent=_unblock_sigterm, after_in_child=self._be_forked
        )
        self._logs.begin(self._boot.levels)
        current_app.enter(self._application)
        current_app.enter_job_process(self._application)
        sys.argv[:] = self._boot.argv

    def serve(self) -> None:
        """Carry out the orders that the parent sends over the pipe, until it closes the pipe."""
        for module in self._boot.modules:
            self._import(module)
        self._end(wire.Ready())
        while True:
            self._waits = True
            if self._is_ending:
                return
            try:
                order = self._parent.next_order()
            except (EOFError, OSError):
                return
            self._waits = False
            match order:
                case wire.Import(module):
                    self._parent.begin(None)
                    self._import(module)
                    self._end(wire.Ready())
                case wire.Define(name, pickled):
                    self._parent.begin(None)
                    self._end(self._define(name, pickled))
                case wire.Have(pickled):
                    self._parent.begin(None)
                    self._end(self._have(pickled))
                case wire.Equip(packed):
                    self._application.middleware = None if packed is None else SentPipeline(packed)
                case wire.Perform():
                    outcome = self._perform(order)
                    memory = _memory_bytes() if self._boot.measures_memory else 0
                    self._end(wire.Ended(outcome, memory))

    def _end(self, message: object) -> None:
        with suppress(OSError):  # the parent is gone, as the next order will show
            self._parent.end(message)

    def _perform(self, wanted: wire.Perform) -> Outcome | None:
        deadline = None if wanted.remaining is None else time.monotonic() + wanted.remaining
        self._unpack_middleware()
        self._import_worker_module(wanted.job.spec.worker)
        self._application.default_queue = wanted.default_queue
        self._application.enqueues_elsewhere = wanted.enqueues_elsewhere
        control = PipeControl(deadline, parent=self._parent, application=lambda: self._application)
        read = (
            partial(self._application.read_errors, wanted.job.id)
            if wanted.job.state.errors
            else None
        )
        control.middleware, control.executor = self._application.middleware, "process"
        if wanted.hangs:
            control.hangs, control.middleware = True, control.middleware or Pipeline((), ())
        attempt = Attempt(wanted.job, control, wanted.failed, read)
        self._parent.begin(control)
        self._job_id = wanted.job.id
        self._place_sent = False
        try:
            self._performs = True
            try:
                return attempt_runner(attempt, propagate=(Terminated,)).run()
            finally:
                self._performs = False
                _flush_output()
        except Terminated:
            return None
        finally:
            control.close()

    def _unpack_middleware(self) -> None:
        """Unpack the middleware before any worker is imported: it may set up what those need."""
        middleware = self._application.middleware
        self._waits = True
        try:
            if middleware is not None:
                middleware.unpack()
        except BaseException:  # raised again in the attempt, which fails with it
            if self._is_ending:
                raise
        self._waits = False

    def _import_worker_module(self, worker: str) -> None:
        """Import in the job process the module of a worker stored under another name."""
        if worker_registry.defined(worker) is None:
            module = worker.partition(":")[0]
            if module and module not in sys.modules:
                self._import(module)

    def _import(self, module: str) -> None:
        self._waits = True
        try:
            importlib.import_module(module)
        except BaseException:  # the attempt that needs it fails with it, sys.exit() included
            if self._is_ending:
                raise
        self._waits = False

    def _define(self, name: str, pickled: bytes) -> wire.Ready:
        self._waits = True
        ready = wire.Ready()
        try:
            worker_registry.define(name, main_objects.loads_by_value(pickled))
        except BaseException as error:  # the attempt fails with it, sys.exit() included
            if self._is_ending:
                raise
            text = f"{type(error).__name__}: {describe(error)}"
            ready = wire.Ready(text, trace(error))
        self._waits = False
        return ready

    def _have(self, pickled: bytes) -> wire.Ready:
        self._waits = True
        try:
            main_objects.loads_by_value(pickled)
        except BaseException:  # the arguments have copies, and fail as these do
            if self._is_ending:
                raise
        self._waits = False
        return wire.Ready()

    # ---- signals and forks --------------------------------------------------------------------

    def _on_sigterm(self, _: int, frame: FrameType | None) -> None:
        self._is_ending = True
        # Asked where the attempt is, it may have that signal before it, which has a larger number.
        self._on_locate(0, frame)
        if not self._parent.must_not_break:
            self._end_if_requested()

    def _on_breakable(self) -> None:
        if self._locate_pending:
            self._send_place(sys._getframe())  # noqa: SLF001 - documented
        self._end_if_requested()

    def _on_locate(self, _: int, frame: FrameType | None) -> None:
        if self._parent.must_not_break:
            self._locate_pending = True
        else:
            self._send_place(frame)

    def _send_place(self, frame: FrameType | None) -> None:
        self._locate_pending = False
        if self._performs and not self._place_sent:
            self._place_sent = True
            with suppress(Exception):  # of no use to the attempt, which must not fail by it
                self._parent.send(wire.Located(self._job_id, places.of_this_thread(frame)))

    def _end_if_requested(self) -> None:
        """After SIGTERM: raise Terminated in a running attempt; exit the process if it is idle."""
        if not self._is_ending:
            return
        if self._performs:
            self._performs = False
            raise Terminated
        if self._waits:
            sys.exit(0)

    def _be_forked(self) -> None:
        """In a process that a job forked: close the pipe, and restore signals and logging."""
        self._parent.close()
        current_app.leave(self._application)
        current_app.leave_job_process()
        self._logs.end()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _unblock_sigterm()  # now it ends this process, as it should have if it came in the meantime


def _block_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _unblock_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def main() -> None:
    """Run the program of a job process: perform attempts from the pipe that ``sys.argv`` names."""
    pipe, parent_pid, dumped = map(int, sys.argv[1:4])
    _die_with_parent(parent_pid)
    for each in (pipe, dumped):
        os.set_inheritable(each, False)  # noqa: FBT003 - it has no other way
    parent = ParentConnection(Connection(pipe))
    try:
        boot: wire.Boot = parent.next_order()
    except (EOFError, OSError):
        return
    child = _ProcessChild(parent, boot, dumped)
    child.take_over()
    child.serve()


def _flush_output() -> None:
    """Flush in the job process what the attempt has printed, so that a kill does not lose it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the attempt may have closed or replaced it
            stream.flush()


def _die_with_parent(parent_pid: int) -> None:
    """Have Linux kill this job process with its parent; exit now if the parent is gone already.

    Elsewhere a process ends when it reads its pipe.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit(0)


def _memory_bytes() -> int:
    """Return the bytes of memory that this OS process has now, or had at most; reads ``/proc``."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
