"""Which jobs are the same job: what a worker declares, and the digest the store compares.

Two unique jobs of one worker and queue share a digest exactly when the named arguments are equal.
Equal means equal in Python: ``1 == 1.0 == True``, a dict in any order, a set by its members, an
instant in any time zone; a list is no tuple. ``hash()`` is not used: it differs between processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from antq_actors.checks import did_you_mean, is_utf8, short_repr
from antq_actors.introspection import explain_fields
from antq_actors.jobs.canonical import canonical
from antq_actors.jobs.status import ACTIVE, Status, Statuses

_ALL: Final = frozenset(Status)


@explain_fields
@dataclass(frozen=True, slots=True, init=False)
class Unique:
    """No second job with equal values of *args* while one is in one of *statuses*.

    A job that lacks one of the named arguments, or has None for it, is not checked. Without
    statuses nothing is ever in the way.

    >>> Unique(args=["email"]).args
    ('email',)
    """

    args: tuple[str, ...]
    """The arguments that are compared, as given, each once."""
    statuses: frozenset[Status]
    """The statuses in which a job is in the way."""

    def __init__(
        self,
        args: Sequence[str],
        statuses: Statuses | Literal["all"] = ACTIVE,
    ) -> None:
        object.__setattr__(self, "args", _names(args))
        object.__setattr__(self, "statuses", _statuses(statuses))


def unique_digest(
    worker: str, queue: str, args: Mapping[str, Any], names: Collection[str]
) -> bytes | None:
    """Return the 16 bytes that jobs of *worker* in *queue* share when the named args are equal.

    None when one of *names* is missing in *args* or None: such a job is never a duplicate. The
    bytes are the same in every process. Raises TypeError naming an argument that cannot be
    compared by its content.
    """
    named = [(name, args.get(name)) for name in sorted(set(names))]
    if any(value is None for _, value in named):
        return None

    digest = hashlib.blake2b(digest_size=16)
    for text in (worker, queue):
        digest.update(canonical(text))
    for name, value in named:
        digest.update(canonical(name))
        try:
            digest.update(canonical(value))
        except Exception as error:
            raise TypeError(
                f"the argument {name!r} cannot be unique: {short_repr(value)} cannot be compared by"
                f" its content ({error}); name other arguments in Unique(args=…)"
            ) from error
    return digest.digest()


def _names(args: object) -> tuple[str, ...]:
    if isinstance(args, str):
        raise TypeError(f"args of Unique must be a list of names: write Unique(args=[{args!r}])")
    if not isinstance(args, Collection) or isinstance(args, Mapping | bytes | bytearray):
        raise TypeError(f"args of Unique must be a list of names, got {short_repr(args)}")
    for name in args:
        if not isinstance(name, str):
            raise TypeError(f"args of Unique must be names (str), got {short_repr(name)}")
        if not is_utf8(name):
            raise ValueError(
                f"args of Unique must be text that UTF-8 can carry, got {short_repr(name)}"
            )
    if not args:
        raise ValueError("args of Unique must name at least one argument, got none")
    return tuple(dict.fromkeys(args))


def _statuses(given: object) -> frozenset[Status]:
    if isinstance(given, str):
        return _ALL if given == "all" else frozenset({_status(given)})
    if not isinstance(given, Collection) or isinstance(given, Mapping | bytes | bytearray):
        raise TypeError(
            "statuses of Unique must be a Status, a collection of them or 'all',"
            f" got {short_repr(given)}"
        )
    return frozenset(_status(status) for status in given)


def _status(given: object) -> Status:
    if not isinstance(given, str):
        raise TypeError(f"statuses of Unique must be Status or str, got {short_repr(given)}")
    try:
        return Status(given)
    except ValueError:
        known = [status.value for status in Status]
        raise ValueError(
            f"unknown status {given!r} in Unique(statuses=…){did_you_mean(given, known)}"
        ) from None
