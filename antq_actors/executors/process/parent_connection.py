"""The pipe to the parent, and what stands there for its queue and its application.

A thread that waits for a message reads, unless another one does, and passes on what is for others:
the main thread's orders, the reply that another thread waits for, the request to stop. So no thread
is needed that only reads, and a thread that outlives its job takes nothing away.
"""

from __future__ import annotations

import itertools
import select
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from antq_actors.errors import NotStarted
from antq_actors.executors.process import wire
from antq_actors.executors.sent_middleware import EnqueuesWithin
from antq_actors.jobs import batch, resolver
from antq_actors.jobs.control import Control, Progress
from antq_actors.jobs.job import performed_here, wait_seconds
from antq_actors.jobs.result import fetch_from
from antq_actors.jobs.worker import in_thread
from antq_actors.jobs.worker_registry import check_current
from antq_actors.storage.format.kept_values import KeptValues
from antq_actors.storage.format.values import encode_args
from antq_actors.storage.jobs.results import load_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import timedelta
    from multiprocessing.connection import Connection
    from pathlib import Path

    from antq_actors.jobs.batch import Batch
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import JobOptions
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import ErrorEntry, NewJob
    from antq_actors.jobs.steps import StepRequest


class ParentConnection:
    """This end of the pipe. It is made by the main thread, where SIGTERM is noticed."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._main = threading.get_ident()
        self._poll = select.poll()
        self._poll.register(pipe.fileno(), select.POLLIN)
        self._sending = threading.Lock()
        self._turn = threading.Condition(threading.Lock())
        self._is_read = False
        self._orders: deque[Any] = deque()
        self._replies: dict[int, wire.Reply] = {}
        self._numbers = itertools.count()
        self._control: Control | None = None
        self._takes_calls = True
        """Whether the parent takes calls: from an order until it is done."""
        self._is_closed = False
        self.must_not_break = False
        """Whether the main thread must not be interrupted: half a message would be on its way."""
        self.on_breakable: Callable[[], object] = lambda: None
        """Called in the main thread when it may be again."""

    def begin(self, control: Control | None) -> None:
        """Allow calls on the parent for an order; *control* then receives its requests to stop."""
        self._control = control
        self._takes_calls = True

    def end(self, ended: object) -> None:
        """Send the parent the end of an order; from now on calls on the parent are refused."""
        with self._unbreakable(), self._sending:
            self._control = None
            self._takes_calls = False
            wire.send(self._pipe, ended)

    def send(self, message: object, control: Control | None = None) -> None:
        """Send the parent process a message, from any thread. Raises OSError when it is gone.

        *control*: of the attempt that it is about. It is not sent once that has ended, as then it
        would be taken for one about the next.
        """
        if self._is_closed:
            return
        with self._unbreakable(), self._sending:
            if control is None or control is self._control:
                wire.send(self._pipe, message)

    def next_order(self) -> Any:
        """Wait for the parent's next order on the pipe. Raises EOFError or OSError at its end."""
        self._read_until(lambda: bool(self._orders))
        return self._orders.popleft()

    def ask(self, question: Callable[[int], wire.Call | wire.ReadErrors]) -> wire.Reply:
        """Send the parent process a question, wait for its reply. Raises NotStarted without one.

        *question* is made from its number.
        """
        with self._unbreakable():
            number = next(self._numbers)
            try:
                with self._sending:
                    if not self._takes_calls:
                        raise NotStarted(
                            "the job that started this thread has ended, so the thread cannot"
                            " call the application; join threads before perform returns"
                        )
                    wire.send(self._pipe, question(number))
                self._read_until(lambda: number in self._replies)
            except (EOFError, OSError) as error:
                raise NotStarted("the application ended in the meantime") from error
            return self._replies.pop(number)

    def poll(self) -> None:
        """Read from the pipe what the parent process has sent, without waiting."""
        if self._is_closed:
            return
        with self._unbreakable(), self._turn:
            # While another thread reads, that one receives it.
            while not self._is_read and self._poll.poll(0):
                self._take(wire.receive(self._pipe))

    def close(self) -> None:
        """Close the pipe to the parent, in a process that a job has forked."""
        self._is_closed = True
        self._takes_calls = False
        self._control = None
        self._pipe.close()

    def _read_until(self, there: Callable[[], bool]) -> None:
        with self._turn:
            while not there():
                if self._is_read:
                    self._turn.wait()
                    continue
                self._is_read = True
                self._turn.release()
                try:
                    message = wire.receive(self._pipe)
                finally:
                    self._turn.acquire()
                    self._is_read = False
                    self._turn.notify_all()
                self._take(message)

    def _take(self, message: Any) -> None:
        match message:
            case wire.Reply(number):
                self._replies[number] = message
            case wire.Stop(is_cancelled):
                if self._control is not None:
                    self._control.is_cancelled = is_cancelled
                    self._control.request_stop()
            case _:
                self._orders.append(message)

    @contextmanager
    def _unbreakable(self) -> Iterator[None]:
        if self.must_not_break or threading.get_ident() != self._main:
            yield
            return
        self.must_not_break = True
        try:
            yield
        finally:
            self.must_not_break = False
            self.on_breakable()


class PipeControl(Control):
    """The control of an attempt whose queue is at the other end of the pipe."""

    parent: Any = None
    """The `ParentConnection`; None when the attempt is over."""

    def look(self) -> None:
        """Read from the pipe whether the parent has requested a stop, without waiting."""
        parent = self.parent
        if parent is not None and not self.stop_requested:
            parent.poll()

    def cancelled(self) -> bool:
        """Return whether the parent has requested a stop; reads the pipe without waiting."""
        self._watch()
        self.look()
        return super().cancelled()

    def remaining(self) -> float | None:
        """Return the seconds until the attempt times out; notes for the parent that it checks."""
        self._watch()
        return super().remaining()

    def report(self, progress: Progress) -> None:
        """Send the attempt's progress to the parent process, unless the attempt is over."""
        self._send(wire.Reported(progress))

    def hold_checkpoint(self, value: bytes | None) -> None:
        """Send the parent the checkpoint that goes with the outcome; None: it was stored."""
        super().hold_checkpoint(value)
        self._send(wire.Checkpointed(value))

    def close(self) -> None:
        """Send the parent nothing more: the attempt is over, whatever its threads still do."""
        self.parent = None

    def _watch(self) -> None:
        if not self.watched:
            self.watched = True
            self._send(wire.Watched())

    def _send(self, message: object) -> None:
        parent = self.parent  # another thread may end the attempt at any time
        if parent is not None:
            parent.send(message, self)


class PipeApplication(KeptValues, EnqueuesWithin):
    """The application of the parent, for jobs that enqueue others, look at them and change them."""

    def __init__(self, parent: ParentConnection, path: Path | None) -> None:
        self._parent = parent
        self.path = path
        """The directory that the application of the queue was described with."""
        self.default_queue = "default"
        self.enqueues_elsewhere = False
        """Whether workers enqueue to another application, which calls its own middleware."""

    def enqueue(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Have the parent process's application store a job. Raises what that raises there."""
        if self.middleware is not None and not self.enqueues_elsewhere:
            return self.enqueue_within(self.middleware, worker, args, options)
        job: Job = self._call("enqueue", (name_of(worker), args), options, of_queue=False)
        return job

    def call(self, method: str, /, *args: Any, **options: Any) -> Any:
        """Call the queue's application in the parent process. Raises what that raises there."""
        return self._call(method, args, options, of_queue=True)

    def _call(
        self, method: str, args: Sequence[Any], options: Mapping[str, Any], *, of_queue: bool
    ) -> Any:
        pickled = pack_call(args, options)
        call = partial(wire.Call, of_queue=of_queue, method=method, pickled=pickled)
        return unpack_reply(self._parent.ask(call))

    def antq_prepare(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any], /
    ) -> NewJob:
        """Have the parent process check a job and return it. Raises what that raises there."""
        if self.middleware is not None:
            return self.prepare_within(self.middleware, worker, args, options)
        new: NewJob = self.call("antq_prepare", name_of(worker), args, options)
        return new

    def antq_check(
        self, worker: AnyWorker, args: Mapping[str, Any], options: Mapping[str, Any]
    ) -> NewJob:
        """Have the parent process check a job, and call nothing around that."""
        new: NewJob = self.call("antq_check", name_of(worker), args, options)
        return new

    def antq_insert(self, new: NewJob) -> Job:
        """Have the parent process's application store a job that it has checked."""
        job: Job = self.call("antq_insert", new)
        return job

    def antq_workflow(self, verb: str, /, *args: Any) -> Any:
        """Have the parent process's application do a verb of workflows."""
        return self.call("antq_workflow", verb, *args)

    def antq_batch(self, verb: str, /, *args: Any) -> Any:
        """Have the parent process's application do a verb of batches; it waits but a moment."""
        return self.call("antq_batch", verb, *batch.shortened(verb, args))

    def antq_batch_of(self, id_: int, job: Job, /) -> Batch | None:
        """Return the batch with an id, of which this is a job; None: there is none any more."""
        return batch.batch_of(self, id_, job)

    def result(self, job_or_id: Job | int, *, timeout: float | timedelta | None = None) -> Any:
        """Wait for a job, as the queue's application does it; return what it returned.

        Raises what that raises.
        """
        seconds = wait_seconds(timeout, "result")
        id_ = job_or_id if isinstance(job_or_id, int) else job_or_id.id
        return load_result(fetch_from(self.call, id_, seconds, performed_here()))

    async def aresult(
        self,
        job_or_id: Job | int,
        *,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as its twin
    ) -> Any:
        """Do what `result` does, in another thread."""
        wait_seconds(timeout, "aresult")
        return await in_thread(partial(self.result, job_or_id, timeout=timeout))

    def antq_steps(self, request: StepRequest, /) -> Any:
        """Have the parent process do what an attempt asks for. Raises what that raises there."""
        return self._call("antq_steps", (request,), {}, of_queue=True)

    def read_errors(self, job_id: int) -> tuple[ErrorEntry, ...]:
        """Return the performed job's errors from the parent. Raises what reading raises there."""
        question = partial(wire.ReadErrors, job_id=job_id)
        errors: tuple[ErrorEntry, ...] = unpack_reply(self._parent.ask(question))
        return errors


def name_of(worker: AnyWorker) -> str:
    """Return the stored name of *worker*, by which the parent process knows it.

    Raises TypeError for what is none, and ValueError when another one would run its jobs.
    """
    name = resolver.name_of(worker)
    check_current(worker)
    return name


def pack_call(args: Sequence[Any], options: Mapping[str, Any]) -> bytes:
    """Return the arguments of a call on the parent process's application, pickled.

    Raises what its parts raise; of a job's arguments, a TypeError that names the key.
    """
    try:
        return wire.by_value((args, options))
    except Exception:
        for each in args:
            _refuse_unpicklable(each)
        raise


def pack_args(args: Any) -> bytes:
    """Return a job's arguments, pickled in a job's process for its parent. Raises TypeError."""
    try:
        return wire.by_value(args)
    except Exception:
        _refuse_unpicklable(args)
        raise


def _refuse_unpicklable(args: object) -> None:
    """Raise TypeError for a job's arguments that cannot be pickled, naming the key."""
    if isinstance(args, Mapping):
        encode_args(args)


def unpack_reply(reply: wire.Reply) -> Any:
    """Return what a call on the parent process's application returned, or raise what it raised."""
    result, error, cause = wire.load(reply.pickled)
    if error is not None:
        raise error from cause
    return result
