"""What was set of limits at runtime as lines of an export, and back.

    {"antq_limit":"account","rule":["account",true,[2,…],null],"numbers":[3,…],"keys":[…]}
    {"antq_queue":"mail","global_concurrency":5}

They come before the jobs, so that these find the order of strict limits when they are stored.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from antq_actors.flow.gates import NO_NUMBERS, Gate, Limit, Numbers
from antq_actors.flow.limits import LimitRule
from antq_actors.jobs import instant
from antq_actors.jobs.options import check_queue_name
from antq_actors.storage.admin.lines import LARGEST_NUMBER, decode_line
from antq_actors.storage.jobs.gates import is_gate
from antq_actors.storage.jobs.job_store import JobStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.jobs.reader import JobReader


class KeyLine(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What was set for one key of a limit."""

    gate: bytes
    key: str | None = None
    numbers: Numbers = NO_NUMBERS
    closed_until: datetime | None = None
    paused: bool = False
    refused_until: datetime | None = None


class LimitLine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A limit."""

    antq_limit: str
    """Its name."""
    rule: LimitRule
    """What the code said of it."""
    numbers: Numbers = NO_NUMBERS
    closed_until: datetime | None = None
    paused: bool = False
    keys: tuple[KeyLine, ...] = ()
    """Those of which anything was set."""


class QueueLine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A queue whose global concurrency was set."""

    antq_queue: str
    """Its name."""
    global_concurrency: int | None


_decode_limit = msgspec.json.Decoder(LimitLine).decode
_decode_queue = msgspec.json.Decoder(QueueLine).decode


def limit_lines(store: StorageClient) -> Iterator[LimitLine | QueueLine]:
    """Yield the lines of all limits of a store."""
    yield from store.read(_read_lines)


def import_limit(store: StorageClient, line: str | bytes) -> bool:
    """Store what a line says of a limit, and return whether it is about one.

    What the store knows already is left as it is. Raises ValueError, TypeError, MsgspecError.
    """
    text = line.encode() if isinstance(line, str) else line
    if b'"antq_limit"' not in text and b'"antq_queue"' not in text:
        return False
    try:
        decode_line(text)
    except msgspec.MsgspecError:
        pass
    else:
        return False  # a job whose arguments have that name
    if b'"antq_limit"' in text:
        found = _decode_limit(text)
        _check(found)
        limit = Limit(found.rule, found.numbers, _instant(found.closed_until), found.paused)
        gates = [(each.gate, _gate(each)) for each in found.keys]
        store.write(JobStore.import_limit, limit, gates)
    else:
        queue = _decode_queue(text)
        check_queue_name(queue.antq_queue)
        if queue.global_concurrency is not None and queue.global_concurrency < 1:
            raise ValueError("global_concurrency is at least 1")
        store.write(JobStore.import_queue_limit, queue.antq_queue, queue.global_concurrency)
    return True


def _check(found: LimitLine) -> None:
    """Raise ValueError for numbers that no limit can have."""
    rule = found.rule
    numbers: list[int | None] = []
    for each in (found.numbers, *(key.numbers for key in found.keys)):
        numbers += [each.concurrency, each.limit, each.per, each.burst]
    if rule.concurrency is not None:
        numbers.append(rule.concurrency.limit)
    if rule.rate is not None:
        numbers += [rule.rate.limit, rule.rate.per, rule.rate.burst]
    if not all(n is None or 0 < n < LARGEST_NUMBER for n in numbers):
        raise ValueError(f"the numbers of a limit are from 1 to {LARGEST_NUMBER}")
    if rule.name != found.antq_limit or not all(is_gate(key.gate) for key in found.keys):
        raise ValueError("it says two things of its limit, or names a key that is none")


def _read_lines(reader: JobReader) -> list[LimitLine | QueueLine]:
    lines: list[LimitLine | QueueLine] = [
        LimitLine(
            antq_limit=limit.rule.name,
            rule=limit.rule,
            numbers=limit.numbers,
            closed_until=_moment(limit.closed_until),
            paused=limit.is_paused,
            keys=tuple(_key_line(key, gate) for key, gate in gates),
        )
        for limit, gates in reader.limits_set()
    ]
    queues = reader.global_concurrencies_set().items()
    return lines + [QueueLine(antq_queue=name, global_concurrency=n) for name, n in queues]


def _key_line(key: bytes, gate: Gate) -> KeyLine:
    return KeyLine(
        key,
        gate.key,
        gate.numbers,
        _moment(gate.closed_until),
        gate.is_paused,
        _moment(gate.refused_until),
    )


def _gate(line: KeyLine) -> Gate:
    return Gate(
        line.key,
        numbers=line.numbers,
        closed_until=_instant(line.closed_until),
        is_paused=line.paused,
        refused_until=_instant(line.refused_until),
    )


def _moment(when: Instant) -> datetime | None:
    return instant.datetime_for_display(when) if when else None


def _instant(moment: datetime | None) -> Instant:
    return 0 if moment is None else instant.from_datetime(moment)
