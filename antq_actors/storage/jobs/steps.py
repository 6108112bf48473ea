"""The verbs of steps and checkpoints. Each counts only while its job runs that very execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.errors import DamagedRecord, JobNotFound, StepError, Superseded
from antq_actors.jobs.state import Status
from antq_actors.jobs.steps import KeptStep
from antq_actors.storage.jobs.step_table import StepTable, has_steps, with_steps
from antq_actors.storage.jobs.writer import JobWriter

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.jobs.steps import KeepCheckpoint, KeepStep, ReadCheckpoint, ReadStep
    from antq_actors.storage.format.encoding import JobRecord, Signer
    from antq_actors.storage.jobs.reader import JobReader


class StepWriter(JobWriter):
    """Stores what executions keep, in one LMDB write transaction."""

    def keep_step(self, step: KeepStep, *, now: Instant) -> None:
        """Store a step of a running execution. Raises Superseded."""
        record = self._running(step.id, step.execution, now)
        kept = KeptStep(step.number, step.name, now)
        StepTable(self._txn, self._tables, self._signer).put(step.id, kept, step.value)
        self._jobs.mark(step.id, record, with_steps(record.state))

    def keep_checkpoint(self, wanted: KeepCheckpoint, *, now: Instant) -> None:
        """Store the checkpoint of a running execution, in place of the last. Raises Superseded."""
        record = self._running(wanted.id, wanted.execution, now)
        self._put_checkpoint(wanted.id, record, wanted.value, now)

    def _put_checkpoint(self, id_: int, record: JobRecord, value: bytes, now: Instant) -> None:
        table = StepTable(self._txn, self._tables, self._signer)
        table.put_checkpoint(id_, value, now)
        self._jobs.mark(id_, record, with_steps(record.state))

    def _running(self, id_: int, execution: int, now: Instant) -> JobRecord:
        """Read the record of a job that runs this execution. Raises Superseded."""
        try:
            record = self._read_or_fail(id_, now)
        except JobNotFound as error:
            raise superseded(id_, "was deleted") from error
        _check(id_, record.state, execution)
        return record


def read_step(reader: JobReader, wanted: ReadStep, signer: Signer) -> bytes:
    """Read the value of a step, verified. Raises Superseded, and StepError if it is damaged."""
    _check_running(reader, wanted)
    try:
        value = reader.steps(signer).value(wanted.id, wanted.number)
    except DamagedRecord as error:
        raise _unreadable(wanted.id, error) from error
    if value is None:
        raise _unreadable(wanted.id, "its value is missing")
    return value


def read_checkpoint(reader: JobReader, wanted: ReadCheckpoint, signer: Signer) -> bytes | None:
    """Read the checkpoint of a job, verified; None: it has none.

    Raises Superseded, and StepError if it is damaged.
    """
    _check_running(reader, wanted)
    try:
        return reader.steps(signer).checkpoint(wanted.id)
    except DamagedRecord as error:
        raise _unreadable(wanted.id, error) from error


def list_steps(reader: JobReader, id_: int) -> list[KeptStep]:
    """Read the steps of a job, without their values, by number. Raises JobNotFound."""
    return reader.steps().steps(id_) if has_steps(reader.get(id_).state) else []


def superseded(id_: int, what: str) -> Superseded:
    """Return the error for an execution that does not count any more, as its job is *what*."""
    return Superseded(
        f"job {id_} {what}, so this execution of it does not count any more, and nothing of it is"
        " kept: let perform end"
    )


def _check(id_: int, state: JobState, execution: int) -> None:
    """Raise Superseded unless a job runs this execution."""
    if state.status is not Status.RUNNING or state.execution != execution:
        is_running = state.status is Status.RUNNING
        raise superseded(id_, "runs again" if is_running else f"is {state.status}")


def _check_running(reader: JobReader, wanted: ReadStep | ReadCheckpoint) -> None:
    try:
        state = reader.get(wanted.id).state
    except JobNotFound as error:
        raise superseded(wanted.id, "was deleted") from error
    _check(wanted.id, state, wanted.execution)


def _unreadable(id_: int, why: object) -> StepError:
    return StepError(
        f"what earlier executions of job {id_} have kept cannot be read: {why}; retry it with"
        " fresh=True to forget that"
    )
