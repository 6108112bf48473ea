"""Why a job, or a queue, does nothing now, as values: what ``app.explain`` finds, and in its order.

Beside that there is a list of checks for a job that waits: those that hold, and those that do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from antq_actors.app.queries import id_of
from antq_actors.explain import reasons as known
from antq_actors.explain.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antq_actors.explain.reasons import Explanation, Reason
    from antq_actors.insights.redaction import Redactor
    from antq_actors.insights.source import Source

YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "unknown"

_OF_OTHERS: Final = (known.Ended, known.Running, known.Cancelling)
"""What is said of jobs that do not wait."""
_TEXTS_OF_ERRORS: Final = ("error", "cause")
"""Fields of reasons that hold the text of an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyView:
    """Why a job, or a queue, does nothing now."""

    id: int | None
    """Of the job; None: it is about a queue."""
    reasons: tuple[Mapping[str, Any], ...]
    """Each with its ``code``, its ``text`` and the fields of its class, which is one of
    ``antq_actors.explain``."""
    text: str
    """All of it in sentences."""


@dataclass(frozen=True, slots=True)
class Check:
    """A condition for a job to start, and whether it holds."""

    code: str
    """Of the reason that it is when it does not hold."""
    ok: str
    """``"yes"``, ``"no"``, or ``"unknown"``: that is another process's to know."""
    text: str
    reason: Mapping[str, Any] | None = None
    """The reason as `WhyView` has it; None: the condition holds."""


def read_why(source: Source, id_: int) -> WhyView:
    """Read why a job does not run. Raises JobNotFound, TypeError."""
    found = source.app.explain(id_)
    return _view(id_of(id_), found, source.redactor)


def read_queue_why(source: Source, name: str) -> WhyView:
    """Read why the jobs of a queue do not run. Raises UnknownQueue, TypeError."""
    return _view(None, source.app.explain_queue(name), source.redactor)


def read_checks(source: Source, id_: int) -> tuple[Check, ...]:
    """Read what has to hold for a job to start, and what does. Raises JobNotFound, TypeError."""
    redactor = source.redactor
    shown = [_shown(reason, redactor) for reason in source.app.explain(id_).reasons]
    waits = not any(isinstance(each, _OF_OTHERS) for each in shown)
    return tuple(checks(shown, is_waiting=waits))


def _view(id_: int | None, found: Explanation, redactor: Redactor) -> WhyView:
    text, rows = found.text, []
    for reason in found.reasons:
        shown = _shown(reason, redactor)
        said = sentence(shown)
        if shown is not reason:
            text = text.replace(sentence(reason), said)
        rows.append(_row(shown))
    return WhyView(id=id_, reasons=tuple(rows), text=text)


def _row(reason: Reason) -> Mapping[str, Any]:
    return {"code": reason.code, "text": sentence(reason), **msgspec.structs.asdict(reason)}


def _shown(reason: Reason, redactor: Redactor) -> Reason:
    """Return a reason without what is hidden of an error in it."""
    hidden = {}
    for name in _TEXTS_OF_ERRORS:
        text = getattr(reason, name, None)
        shown = redactor.text("error", text)
        if shown is not text:
            hidden[name] = str(shown)
    return replace(reason, **hidden) if hidden else reason


# ---- what has to hold -------------------------------------------------------------------------

_CONDITIONS: Final[tuple[tuple[str, tuple[type[Reason], ...]], ...]] = (
    ("It waits for no other job.", (known.WaitsFor, known.BatchOpen)),
    ("It is due.", (known.NotDue, known.RetryDue)),
    ("A node runs its queue.", (known.NoNode, known.NodeStopping)),
    ("Its queue is not paused.", (known.Paused,)),
    ("Its queue may run more jobs.", (known.GlobalFull,)),
    (
        "Its limits let it start.",
        (known.KeyFull, known.HeldByOrder, known.RateFull, known.LimitPaused),
    ),
    ("A node has a slot for it.", (known.SlotsFull, known.KeptAlone, known.TooManyAbandoned)),
    ("The store takes what is written.", (known.StoreRefuses,)),
    ("No other job comes before it.", (known.Behind,)),
    ("This process finds its worker.", (known.WorkerUnknown,)),
)
"""What has to hold for a job to start, and the reasons why it does not, in their order."""


_RANKS: Final = {reason: rank for rank, reason in enumerate(known.REASONS)}


def checks(reasons: Sequence[Reason], *, is_waiting: bool) -> list[Check]:
    """Return what has to hold for a job, in order: the reasons, and between them what holds.

    Of a job that does not wait there are its reasons alone. Without a living node nothing is said
    of slots: there are none.

    >>> [check.ok for check in checks([known.Paused("mail")], is_waiting=True)][:5]
    ['yes', 'yes', 'yes', 'no', 'yes']
    """
    found = {type(each): each for each in reasons}
    rows = [(_RANKS[type(each)], _broken(each)) for each in reasons]
    for text, classes in _CONDITIONS if is_waiting else ():
        is_without_slots = known.NoNode in found and known.SlotsFull in classes
        if not is_without_slots and found.keys().isdisjoint(classes):
            rows.append((_RANKS[classes[0]], Check(classes[0].code, YES, text)))
    return [check for _, check in sorted(rows, key=itemgetter(0))]


def _broken(reason: Reason) -> Check:
    ok = UNKNOWN if isinstance(reason, known.WorkerUnknown) else NO
    return Check(reason.code, ok, sentence(reason), _row(reason))
