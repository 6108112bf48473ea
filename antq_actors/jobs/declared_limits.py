"""What the workers of this process say of limits, by name: one name has one meaning.

Workers are held for good, also those of a function that returned long ago, a test perhaps. What
such a worker says of a limit contradicts nobody: it counts only while its function is running.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from antq_actors.flow.limits import LimitRule
    from antq_actors.jobs.limits import JobLimit
    from antq_actors.jobs.worker_registry import WorkerOrigin


class _Declaration(NamedTuple):
    rule: LimitRule
    module: str
    function: str
    """In which it was defined, "" outside of functions."""
    is_stale: bool = False
    """Whether this function has since been called again."""


_declared: Final[dict[str, dict[str, _Declaration]]] = {}
"""By the name of the limit and the stored name of the worker, in the order of their definitions."""


@contextmanager
def declared(name: str, limits: Sequence[JobLimit], origin: WorkerOrigin) -> Iterator[None]:
    """Check the limits of the worker stored as *name*, which the ``with`` block registers.

    Then they replace those that it had before. Raises ConfigError if another worker says something
    else of one of them.
    """
    function = origin.qualname.rpartition(".<locals>.")[0]
    _note_run(name, origin.module, function)
    for limit in limits:
        refuse_other(limit.rule, f"worker {name}", but=name)
    yield
    for known in _declared.values():
        known.pop(name, None)
    for limit in limits:
        new = _Declaration(limit.rule, origin.module, function)
        _declared.setdefault(limit.rule.name, {})[name] = new


def refuse_other(rule: LimitRule, owner: str, *, but: str = "") -> None:
    """Raise ConfigError if a worker has another *rule* than *owner* under the same name."""
    for worker, known in _declared.get(rule.name, {}).items():
        if worker != but and known.rule != rule and _counts(known):
            raise two_rules(rule, owner, known.rule, f"worker {worker}")


def two_rules(one: LimitRule, owner: str, other: LimitRule, its_owner: str) -> ConfigError:
    """Return the error about two rules of one name in a process."""
    return ConfigError(
        f"the limit {one.name!r} has two meanings: {_described(one)} for {owner}, and"
        f" {_described(other)} for {its_owner}. What shares a name has the same numbers: write the"
        " limit once and use it for both, or give them different names"
    )


def declared_rules() -> list[LimitRule]:
    """Return the rule of each limit that a worker of this process has: of its last definition."""
    return [list(known.values())[-1].rule for known in list(_declared.values()) if known]


def _note_run(name: str, module: str, function: str) -> None:
    """Note that a *function* was called again, if it defines the worker *name* again."""
    if function and any(name in known for known in _declared.values()):
        for known in _declared.values():
            for worker, each in known.items():
                if (each.module, each.function) == (module, function):
                    known[worker] = each._replace(is_stale=True)


def _counts(known: _Declaration) -> bool:
    """Return whether a declaration is the module's, or of a function that is running here."""
    if known.is_stale or not known.function:
        return not known.is_stale
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - only it knows what is running
    while frame is not None:
        is_it = frame.f_code.co_qualname == known.function
        if is_it and frame.f_globals.get("__name__") == known.module:
            return True
        frame = frame.f_back
    return False


def _described(rule: LimitRule) -> str:
    parts = []
    if rule.concurrency is not None:
        parts.append(f"{rule.concurrency.limit} at once")
    if rule.rate is not None:
        rate = rule.rate
        burst = f" with a burst of {rate.burst}" if rate.burst != 1 else ""
        parts.append(f"{rate.limit} in {rate.per / 1_000_000:g} s{burst}")
    return f"{' and '.join(parts)}{' for each key' if rule.keyed else ''}"
