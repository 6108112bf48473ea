"""Jobs to look at: what is damaged shows as such, and nothing that is stored is run.

Whoever can write to a store can put any pickle there, and a pickle may call any function, or fill
all memory, or keep a processor busy for ever. So who only looks at jobs reads them here: plain
data becomes itself, everything else an Opaque that says what it would have been.

Pickles of lists, dicts and leaves alone are read by the standard library. All others are read as a
description by ``plain.machine``, with ``plain.makers`` for dates, decimals and the like; then
``plain.showable`` measures how large both would be, written out.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import msgspec

from antq_actors.errors import DamagedRecord, StorageError
from antq_actors.jobs.state import ErrorEntry, JobSpec
from antq_actors.storage.format.encoding import (
    DAMAGES,
    UNREADABLE,
    contents,
    decode_error,
    decode_spec,
    pickle_in,
)
from antq_actors.storage.format.plain.machine import Machine
from antq_actors.storage.format.plain.makers import Opaque
from antq_actors.storage.format.plain.showable import is_small, longest_text, shown

if TYPE_CHECKING:
    from antq_actors.jobs.state import JobState


class _WorkerOfSpec(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The beginning of a JobSpec: what comes behind it is skipped."""

    worker: str


_decode_worker = msgspec.msgpack.Decoder(_WorkerOfSpec).decode


def display_args(encoded: bytes) -> dict[str, Any]:
    """Return a job's arguments for display. Runs and imports nothing, and never raises.

    What is no plain data, or too much to look at, shows as an Opaque. So do bytes that are no
    arguments at all, under the key ``"?"``: one damaged job must not hide the others of a list.
    """
    try:
        args = read_plain(pickle_in(encoded))
    except (StorageError, MemoryError) as error:
        return {"?": Opaque(f"unreadable: {error}")}
    if not isinstance(args, dict):
        return {"?": Opaque(f"unreadable: {type(args).__name__} instead of a dict")}
    return args


def spec_for_display(payload: bytes, state: JobState) -> JobSpec:
    """Return a job's spec for display, decoded from *payload*; a damaged spec shows as such."""
    try:
        return decode_spec(contents(payload))
    except DamagedRecord:
        return JobSpec(worker=UNREADABLE, args=b"", inserted_at=state.updated_at)


def worker_for_display(payload: bytes) -> str:
    """Return the worker's name in a spec's bytes, without decoding the rest; "?" if damaged."""
    try:
        return _decode_worker(contents(payload)).worker
    except (DamagedRecord, *DAMAGES):
        return UNREADABLE


def error_for_display(record: bytes) -> ErrorEntry:
    """Return an entry of a job's errors for display; a damaged entry shows as such."""
    try:
        return decode_error(record)
    except DamagedRecord as error:
        return ErrorEntry(0, f"unreadable: {error}", None, 0)


def read_plain(pickled: bytes) -> Any:
    """Return what a pickle holds, executing nothing; an Opaque for parts that are no plain data.

    Also for what is too much to show: the value can be printed, compared and turned into JSON in
    bounded time. Raises StorageError
    for bytes that are no pickle.
    """
    longest = longest_text(pickled)
    if longest is not None:
        try:
            value = pickle.loads(pickled)  # noqa: S301 - it names nothing, as was just checked
        except Exception:  # noqa: BLE001 - the machine says in words what is wrong
            longest = None
    if longest is None:
        machine = Machine(pickled)
        value = machine.read()
        longest = machine.longest_text()
    if type(value) is dict and is_small(value, longest):
        return value
    return shown(value, len(pickled))
