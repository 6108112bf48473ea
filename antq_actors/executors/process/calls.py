"""What a job calls on its application: packed in the job's process, done in the application's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from antq_actors.errors import NotStarted
from antq_actors.executors.process import wire
from antq_actors.jobs import current_app, resolver
from antq_actors.jobs.worker_registry import check_current
from antq_actors.storage.format.encoding import encode_args

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.jobs.perform import Attempt
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import ErrorEntry


def name_of(worker: AnyWorker) -> str:
    """Return the stored name of *worker*, by which the parent knows it.

    Raises TypeError for what is none, and ValueError when another one would run its jobs.
    """
    name = resolver.name_of(worker)
    check_current(worker)
    return name


def pack(args: Sequence[Any], options: Mapping[str, Any]) -> bytes:
    """Return the arguments of a call pickled.

    Raises what its parts raise; of a job's arguments, a TypeError that names the key.
    """
    try:
        return wire.by_value((args, options))
    except Exception:
        for each in args:
            _refuse_unpicklable(each)
        raise


def pack_args(args: Any) -> bytes:
    """Return the arguments of one job pickled. Raises the same."""
    try:
        return wire.by_value(args)
    except Exception:
        _refuse_unpicklable(args)
        raise


def _refuse_unpicklable(args: object) -> None:
    """Raise TypeError for a job's arguments that cannot be pickled, naming the key."""
    if isinstance(args, Mapping):
        encode_args(args)


def unpack(reply: wire.Reply) -> Any:
    """Return what a call returned, or raise what it raised."""
    result, error, cause = wire.load(reply.pickled)
    if error is not None:
        raise error from cause
    return result


def perform(call: wire.Call, name: str) -> wire.Reply:
    """Do what a job asks for, here as if it had been called here.

    *name*: that of the root supervisor of the job's own application.
    """

    def do() -> Any:
        application = _of_queue(name) if call.of_queue else current_app.current()
        return _do(application, call.method, *wire.load(call.pickled))

    return _reply(call.number, do)


def read_errors(question: wire.ReadErrors, attempt: Attempt) -> wire.Reply:
    """Return the errors of the job that is performed, for its process."""

    def read() -> tuple[ErrorEntry, ...]:
        if question.job_id != attempt.job.id:
            raise NotStarted(
                f"job {question.job_id} has ended, so nobody reads its errors for a thread that it"
                " started; join threads before perform returns"
            )
        return attempt.job_with_errors().errors

    return _reply(question.number, read)


def _reply(number: int, do: Callable[[], Any]) -> wire.Reply:
    result, error = None, None
    try:
        result = do()
    except Exception as raised:  # noqa: BLE001 - it is raised there
        error = raised
    cause = None if error is None else error.__cause__
    try:
        pickled = wire.by_value((result, error, cause))
        wire.load(pickled)
    except Exception as untravelled:  # noqa: BLE001 - any exception may refuse to travel
        refusal = untravelled if error is None else error
        shown = RuntimeError(f"{type(refusal).__name__}: {refusal}")
        pickled = wire.by_value((None, shown, None))
    return wire.Reply(number, pickled)


def _of_queue(name: str) -> Any:
    application = current_app.named(name)
    if application is None:
        raise NotStarted("the application of this job has not started yet, or has stopped")
    return application


def _do(subject: Any, method: str, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    of, _, verb = method.rpartition(".")
    if of == "queue":
        name, *args = args
        subject = subject.queue(name)
    elif verb == "enqueue":
        worker, mapping = args
        args = resolver.resolve(worker, job_id=0), mapping
    elif verb == "enqueue_many":
        worker, items = args
        args = resolver.resolve(worker, job_id=0), map(wire.load, items)
    found = getattr(subject, verb)
    return found(*args, **options) if callable(found) else found
