"""What a page says of the verb that led to it: "Paused.", with Undo while that is possible.

It is in the query of the page, by names of ours alone, so that no link makes a page say anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from antq_actors.web.routes import Verb
    from antq_actors.web.view import View


_MOST_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Notice:
    """What was done."""

    text: str
    undo: str | None
    """The token that undoes it; None: it cannot be undone."""


def with_done(view: View, where: str, verb: Verb, done: Any) -> str:
    """Return the URL *where* a verb leads, with what was done in its query."""
    said = {"did": verb.path, "changed": getattr(done, "changed", 1)}
    if more := getattr(done, "more", None):
        said["result"] = view.results.put(more)
    if (undo := getattr(done, "undo", None)) is not None:
        said["undo"] = undo
    return f"{where}{'&' if '?' in where else '?'}{urlencode(said)}"


def notice_of(view: View) -> Notice | None:
    """Return what the query of a page says was done; None: nothing, or nothing that is ours."""
    did, changed = view.query.get("did", [""])[0], view.query.get("changed", [""])[0]
    if did not in _DONE or not (
        changed.isascii() and changed.isdigit() and len(changed) <= _MOST_DIGITS
    ):
        return None
    what = _DONE[did]
    text = f"{what}." if changed == "1" else f"{what}: {int(changed):,} changed."
    undo = view.query.get("undo", [""])[0]
    return Notice(text, undo or None)


_DONE: Final = {
    "/jobs/{id:int}/retry": "Enqueued again",
    "/jobs/{id:int}/cancel": "Cancelled",
    "/jobs/{id:int}/delete": "Deleted",
    "/jobs/{id:int}/run-now": "Made due now",
    "/jobs/{id:int}/reschedule": "Rescheduled",
    "/jobs/{id:int}/again": "Enqueued a copy",
    "/queue/pause": "Paused",
    "/queue/resume": "Resumed",
    "/queue/concurrency": "Changed the concurrency",
    "/queue/step": "Let through",
    "/queue/breakpoint": "Added a breakpoint",
    "/queue/unbreak": "Removed the breakpoint",
    "/nodes/{number:int}/drain": "The node takes no more jobs, and stops after those that run",
    "/error/retry": "Enqueued again",
    "/error/known": "Marked as known",
    "/store/backup": "Made a backup",
    "/store/verify": "Verified",
    "/cron/pause": "Paused",
    "/cron/resume": "Resumed",
    "/cron/run": "Enqueued a job",
    "/limit/set": "Changed the limit",
    "/limit/pause": "Paused",
    "/limit/resume": "Resumed",
    "/limit/reset": "Reset to what the code says",
    "/batches/{id:int}/cancel": "Cancelled",
    "/batches/{id:int}/retry-failed": "Enqueued the failed jobs again",
    "/batches/{id:int}/close": "Closed",
    "/workflows/{id:int}/cancel": "Cancelled",
    "/workflows/{id:int}/retry-failed": "Enqueued the failed jobs again",
    "/tree/crash": "Crashed",
    "/tree/exit": "Sent an exit signal",
    "/tree/kill": "Killed",
    "/tree/hang": "Made it hang",
    "/tree/slow": "Made it slow",
    "/tree/chaos": "Begun",
    "/tree/chaos/stop": "Stopped",
    "/tree/trace": "Recording",
    "/bulk": "Begun",
    "/bulk/{id:int}/stop": "Stopped",
    "/undo": "Undone",
}
"""What each verb has done, by its path."""
