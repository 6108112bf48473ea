"""The pages of a change of many jobs: what would become of them, and how far it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, Response

from antq_actors.insights.access import Access
from antq_actors.insights.as_json import as_json
from antq_actors.insights.bulk_order import NEEDS_REASON_ABOVE
from antq_actors.insights.values import BulkPreview
from antq_actors.web.notices import with_done
from antq_actors.web.refusals import bad_field
from antq_actors.web.routes import FORM_FIELDS, Page, Verb
from antq_actors.web.verbs import act

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.insights.values import BulkView
    from antq_actors.web.routes import Route
    from antq_actors.web.view import View

WORDS: Final = {"retry": "Retry", "cancel": "Cancel", "delete": "Delete", "run-now": "Run"}
"""What the buttons are called, by the verbs."""
SPREADS: Final = ("retry", "run-now")
"""Verbs whose jobs can be spread over some time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a dry run was asked for."""

    verb: str
    q: str | None
    ids: tuple[str, ...]

    @property
    def is_typed(self) -> bool:
        """Whether the number is typed to confirm: of all that match, and of what is deleted."""
        return self.q is not None or self.verb == "delete"


def _asked(view: View) -> Asked:
    """Return what the query asks for. Raises Refusal."""
    ids, q = tuple(each for each in view.query.get("id", ()) if each), view.one("q")
    if ids and q:
        raise bad_field("give q or id, not both")
    for each in ids:
        if not (each.isascii() and each.isdigit()):
            raise bad_field(f"id must be the id of a job, got {each!r}")
    return Asked(view.needed("verb"), None if ids else q or "", ids)


def _preview(view: View) -> BulkPreview:
    asked = _asked(view)
    ids = [int(each[:20]) for each in asked.ids] or None
    return view.insights.bulk_preview(asked.verb, asked.q, ids=ids)


def _dry_run(view: View, preview: BulkPreview) -> dict[str, Any]:
    asked = _asked(view)
    return {
        "asked": asked,
        "title": title_of(asked, preview.matches),
        "spreads": asked.verb in SPREADS,
        "reason_above": NEEDS_REASON_ABOVE,
    }


def title_of(asked: Asked, count: int) -> str:
    """Return what the button of a change of so many jobs is called.

    >>> title_of(Asked("retry", "status:failed", ()), 42)
    'Retry all 42 matching jobs'
    >>> title_of(Asked("run-now", None, ("3",)), 1)
    'Run 1 job now'
    """
    which = f"all {count:,} matching jobs" if asked.q is not None else f"{count:,} jobs"
    if count == 1:
        which = which.removesuffix("s")
    return f"{WORDS[asked.verb]} {which}{' now' if asked.verb == 'run-now' else ''}"


def _begin(view: View) -> Any:
    """Begin a change, and lead to the page that shows how far it is."""
    sent = {name: view.sent(name) for name in view.fields if name not in (*FORM_FIELDS, "id")}
    ids = view.sent_all("id") or None
    if not view.is_api and not ids and "q" in sent:
        sent["q"] = sent["q"] or ""  # the box of a dry run of all jobs is empty
    done = view.verbs.do("bulk", sent={**sent, "id": ids})
    if not view.is_api:
        where = view.url(f"/bulk/{done.more['id']}")
        return RedirectResponse(with_done(view, where, BEGIN, done), status_code=303)
    if isinstance(done.item, BulkPreview):
        return done.item
    number = done.more["id"]
    answer = {"id": number, "href": f"{view.root}api/v1/bulk/{number}"}
    return Response(json.dumps(as_json(answer)), 202, media_type="application/json")


def _progress(view: View) -> BulkView:
    return view.insights.bulk(view.params["id"])


BEGIN: Final = Verb(
    path="/bulk",
    act=_begin,
    words="Change many jobs",
    fields=frozenset({"verb", "q", "id", "expect", "spread", "dry_run"}),
    level=Access.READ,  # the verb checks it: a program may try a dry run with that of READ
    next="jobs",
)
ROUTES: Final[Sequence[Route]] = (
    Page(path="/bulk", name="bulk", read=_preview, more=_dry_run),
    Page(path="/bulk/{id:int}", name="bulk_progress", read=_progress),
    BEGIN,
    Verb(
        path="/bulk/{id:int}/stop",
        act=act("stop_bulk", "id"),
        words="Stop bulk {id}",
        next="bulk_progress",
    ),
)
