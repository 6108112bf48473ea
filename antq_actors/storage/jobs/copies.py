"""A stored job is enqueued once more, as a new job: the function is a verb of the store.

The copy has what the job was enqueued with, as it is stored; nothing of it is loaded. It belongs to
no batch and no workflow, and waits for nobody. What its worker was told of nodes before it stays.

Where this process can sign, what the job was enqueued with is verified first: what nobody has
signed must not be signed by being copied. Where it cannot, what is signed is copied byte by byte,
which its nodes accept.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from antq_actors.checks import checked_meta
from antq_actors.errors import DamagedRecord
from antq_actors.jobs import history
from antq_actors.jobs.state import JobState, NewJob, Status
from antq_actors.storage.format import encoding
from antq_actors.storage.format.cipher import Undecipherable, is_encrypted, opened_spec

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobFlow, JobSpec, StoredJob
    from antq_actors.storage.jobs.job_store import JobStore

COPY_OF: Final = "again_of"
"""In the ``meta`` of a copy: the id of the job that it was made of."""


def enqueue_copy(store: JobStore, id_: int, now: Instant) -> StoredJob:
    """Store a new job like a stored one; return it.

    Raises JobNotFound, AlreadyExists, LimitReached; DamagedRecord for a job that could not run.
    """
    record = store._existing(id_)
    signed = record.spec or store._jobs.large_spec(id_)
    spec = stored = encoding.decode_spec(encoding.contents(signed))
    state = _enqueued(record.state, now)
    with suppress(Undecipherable):  # it stays as it is
        spec = opened_spec(stored, store._tables.cipher)
    store._refuse_duplicate(state, spec)
    if spec.flow is not None:
        store._refuse_full(state, spec.flow.gates, now)
    if encoding.is_signed(signed) and not store._signer.has_keys:
        new = store._add_signed(state, _checked(id_, stored), signed, spec)
    else:
        store._signer.verify(signed)
        new = store._add(NewJob(state, history.inserted(_copied(id_, spec), state)))
    return store.get(new)


def _enqueued(state: JobState, now: Instant) -> JobState:
    """Return the state of a new job in the queue of another one, with its options."""
    return JobState(
        status=Status.ENQUEUED,
        queue_name=state.queue_name,
        priority=state.priority,
        max_attempts=state.max_attempts,
        updated_at=now,
        scheduled_at=now,
    )


def _copied(id_: int, spec: JobSpec) -> JobSpec:
    """Return the spec of a copy of the job *id_*, which knows of what it is one."""
    flow = None if spec.flow is None else _apart(spec.flow)
    if is_encrypted(spec):  # so is its meta
        return replace(spec, flow=flow)
    meta = {**(spec.meta or {}), COPY_OF: str(id_)}
    with suppress(ValueError):  # it has no room for that
        return replace(spec, flow=flow, meta=checked_meta(meta))
    return replace(spec, flow=flow)


def _apart(flow: JobFlow) -> JobFlow:
    """Return what ties a job to others, without what makes it a part of a workflow."""
    return replace(
        flow, workflow=0, node=None, release_in=None, release_at=None, is_for_nodes=False
    )


def _checked(id_: int, spec: JobSpec) -> JobSpec:
    """Return a spec that is to be copied as it is signed. Raises DamagedRecord if it cannot be."""
    if spec.flow is not None and spec.flow.workflow:
        raise DamagedRecord(
            f"job {id_} is a node of a workflow, and signed; a copy outside of the workflow has to"
            " be signed anew, so start this application with the signing key"
        )
    return spec
