"""The executions of a job as its page shows them: alike errors together, and traces folded.

A stack trace shows the frames of the user's own code. Those of libraries in between are folded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

from antq_actors.insights.fingerprints import is_own

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from antq_actors.insights.values import JobRun, JobView

OWN: Final = "own"
LIBRARY: Final = "library"
TEXT: Final = "text"

_FRAME: Final = re.compile(r'[ |]*File "(.+)", line \d+, in ')
_BELOW_A_FRAME: Final = re.compile(r"[ |]{4}")


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of a stack trace that are shown or folded together."""

    kind: str
    """``own`` and ``library`` frames, or ``text``: everything else."""
    frames: int
    text: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """An execution, or an error of which no execution is known."""

    number: int
    node: int
    waited: float | None
    started_at: object
    duration: float | None
    outcome: str
    """``running`` while it runs."""
    error: str | None
    group: int | None
    """The number of its error, from 1, among those that differ."""


@dataclass(slots=True)
class ErrorOfAttempts:
    """Errors that are alike, with the trace of the newest."""

    number: int
    error_type: str | None
    error: str
    stack_trace: str | None
    fingerprint: str | None
    attempts: list[int] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The class and the text."""
        if self.error_type is None or self.error == self.error_type:
            return self.error
        return f"{self.error_type}: {self.error}"


def attempts_of(job: JobView) -> tuple[list[Attempt], list[ErrorOfAttempts]]:
    """Return the executions of a job, the newest first, and their errors, each once."""
    groups: dict[object, ErrorOfAttempts] = {}
    attempts = []
    for run in sorted(job.runs, key=lambda run: run.started_at, reverse=True):
        group = None if run.error is None else _group(groups, run)
        attempts.append(
            Attempt(
                number=run.attempt,
                node=run.node,
                waited=run.waited,
                started_at=run.started_at,
                duration=run.duration,
                outcome=run.outcome or "running",
                error=run.error,
                group=None if group is None else group.number,
            )
        )
    return attempts + list(_without_runs(job, groups)), list(groups.values())


def _group(groups: dict[object, ErrorOfAttempts], run: JobRun) -> ErrorOfAttempts:
    """Return the error of an execution, which may be that of a newer one as well."""
    key = run.fingerprint or (run.error_type, run.error)
    group = groups.get(key)
    if group is None:
        group = groups[key] = ErrorOfAttempts(
            len(groups) + 1, run.error_type, run.error or "", run.stack_trace, run.fingerprint
        )
    group.attempts.append(run.attempt)
    return group


def _without_runs(job: JobView, groups: dict[object, ErrorOfAttempts]) -> Iterator[Attempt]:
    """Yield the errors of which no execution is known."""
    known = {(run.error_type, run.error) for run in job.runs}
    for error in job.errors:
        if (error.error_type, error.error) in known:
            continue
        key = (error.error_type, error.error)
        group = groups.setdefault(
            key,
            ErrorOfAttempts(
                len(groups) + 1, error.error_type, error.error, error.stack_trace, None
            ),
        )
        group.attempts.append(error.attempt)
        started = error.started_at
        duration = None if started is None else (error.attempted_at - started).total_seconds()
        yield Attempt(
            error.attempt,
            error.node,
            None,
            started or error.attempted_at,
            duration,
            "failed",
            error.error,
            group.number,
        )


# ---- traces ---------------------------------------------------------------------------------


def sections_of(stack_trace: str) -> list[Section]:
    """Return a stack trace in sections: own frames and texts are open, those of libraries folded.

    Where no frame is the user's, the innermost are open.
    """
    found = [
        Section(kind, sum(is_first for _, is_first, _ in lines), _joined(lines), kind != LIBRARY)
        for kind, lines in _grouped(_lines(stack_trace))
    ]
    if not any(each.kind == OWN for each in found):
        for at in reversed(range(len(found))):
            if found[at].kind == LIBRARY:
                found[at] = Section(LIBRARY, found[at].frames, found[at].text, is_open=True)
                break
    return found


def _grouped(
    lines: Iterable[tuple[str, bool, str]],
) -> Iterator[tuple[str, Sequence[tuple[str, bool, str]]]]:
    for kind, several in groupby(lines, key=lambda line: line[0]):
        yield kind, list(several)


def _joined(lines: Sequence[tuple[str, bool, str]]) -> str:
    return "\n".join(text for _, _, text in lines)


def _lines(stack_trace: str) -> Iterator[tuple[str, bool, str]]:
    """Yield each line with its kind, and whether a frame begins with it."""
    kind = TEXT
    for line in stack_trace.splitlines():
        frame = _FRAME.match(line)
        if frame is not None:
            kind = OWN if is_own(frame[1]) else LIBRARY
        elif kind != TEXT and not _BELOW_A_FRAME.match(line):
            kind = TEXT
        yield kind, frame is not None, line
