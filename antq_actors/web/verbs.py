"""Verbs of the dashboard are those of insights: a route says which, and what it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, Response

from antq_actors.web.notices import with_done
from antq_actors.web.routes import FORM_FIELDS, REASON, Asks, Input, Verb

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.insights.doing import Done
    from antq_actors.web.view import View


def act(verb: str, *about: str) -> Callable[[View], Done]:
    """Return what carries out a *verb*, a method of insights' ``Verbs``, as the ``act`` of a route.

    *about* names what it is done to: parts of the path, or values of the query. All fields that
    were sent are passed on by their names, texts of forms as they are; insights reads them::

        Verb(path="/jobs/{id:int}/cancel", act=act("cancel", "id"), words="Cancel job {id}")
        Verb(path="/queue/pause", act=act("pause", "name"), words="Pause {name}")
    """

    def carry_out(view: View) -> Done:
        what = [view.params[name] if name in view.params else view.needed(name) for name in about]
        sent = {name: view.sent(name) for name in view.fields if name not in FORM_FIELDS}
        return view.verbs.do(verb, *what, sent=sent)

    return carry_out


_ID: Final = "/{id:int}/"
_AT: Final = Input(name="at", label="At", hint="such as 2030-05-01T09:00+02:00")
_IN: Final = Input(name="in", label="In", hint="such as 30s, 5m or 2h")
_SECONDS: Final = Input(name="seconds", label="Seconds", hint="such as 300; until resumed if empty")
_KEY: Final = Input(name="key", label="Key", hint="all keys if empty")
_ON: Final = Input(name="on", label="On", choices=("claim", "failure"))


def _verb(
    path: str,
    words: str,
    does: str,
    about: str | None,
    *inputs: Input,
    next: str,  # noqa: A002 - as the field is named
    asks: Asks = Asks.NEVER,
    fields: Sequence[str] = (),
) -> Verb:
    """Return a route that does a verb; *fields*: those that no dialog asks for."""
    names = {each.name for each in inputs} - {REASON.name}
    if asks is not Asks.NEVER and REASON not in inputs:
        inputs = (*inputs, REASON)
    return Verb(
        path=path,
        words=words,
        act=act(does, *([] if about is None else [about])),
        fields=frozenset({*names, *fields}),
        inputs=inputs,
        asks=asks,
        next=next,
    )


def _of_job(path: str, words: str, *inputs: Input, does: str | None = None, **how: Any) -> Verb:
    how.setdefault("next", "job")
    return _verb(f"/jobs{_ID}{path}", words, does or path, "id", *inputs, **how)


def _of_queue(path: str, words: str, does: str, *inputs: Input, **how: Any) -> Verb:
    return _verb(f"/queue/{path}", words, does, "name", *inputs, next="queue", **how)


def _again(view: View) -> Done | Response:
    """Enqueue a copy of a job; a form that says no other leads to the page of the copy."""
    done = act("again", "id")(view)
    verb = view.routes.verb(f"/jobs{_ID}again")
    if view.is_api or view.sent("next") is not None or verb is None:
        return done
    where = with_done(view, view.url(f"/jobs/{done.item.id}"), verb, done)
    return RedirectResponse(where, status_code=303)


_FIELDS, _ALWAYS = Asks.FOR_FIELDS, Asks.ALWAYS

ROUTES: Final = (
    _of_job("retry", "Retry job {id}", fields=("fresh",)),
    _of_job("cancel", "Cancel job {id}"),
    _of_job("delete", "Delete job {id}", asks=_ALWAYS, next="jobs"),
    _of_job("run-now", "Run job {id} now", does="run_now"),
    _of_job("reschedule", "Reschedule job {id}", _IN, _AT, asks=_FIELDS),
    replace(_of_job("again", "Run job {id} again"), act=_again),
    _of_queue("pause", "Pause {name}", "pause", REASON, asks=_FIELDS),
    _of_queue("resume", "Resume {name}", "resume"),
    _of_queue(
        "concurrency",
        "Set concurrency of {name}",
        "set_concurrency",
        Input(name="n", label="Concurrency", type="number", is_needed=True),
        Input(name="node", label="Node", hint="all nodes if empty"),
        asks=_FIELDS,
    ),
    _of_queue("step", "Step", "step", fields=("n", "id")),
    _of_queue(
        "breakpoint",
        "Add breakpoint",
        "add_breakpoint",
        Input(name="worker", label="Worker", hint="such as shop.mail:Send; any if empty"),
        Input(name="arg", label="Argument", hint="K=V, such as user=42"),
        _ON,
        asks=_FIELDS,
    ),
    _of_queue("unbreak", "Remove breakpoint", "remove_breakpoint", fields=("id",)),
    _verb(
        "/nodes/{number:int}/drain",
        "Drain node {number}",
        "drain",
        "number",
        asks=_ALWAYS,
        next="nodes",
    ),
    _verb(
        "/error/retry", "Retry all jobs", "retry_error", "fingerprint", asks=_ALWAYS, next="errors"
    ),
    _verb(
        "/error/known",
        "Known until",
        "mark_known",
        "fingerprint",
        Input(name="version", label="Version", hint="such as 2.1; not known if empty"),
        asks=_FIELDS,
        next="errors",
    ),
    _verb(
        "/store/backup",
        "Make a backup",
        "backup",
        None,
        Input(name="target", label="Target", hint="a new directory; beside the store if empty"),
        asks=_FIELDS,
        next="store",
    ),
    _verb("/store/verify", "Verify", "verify", None, next="store"),
    _verb("/cron/pause", "Pause cron {name}", "pause_cron", "name", next="cron"),
    _verb("/cron/resume", "Resume cron {name}", "resume_cron", "name", next="cron"),
    _verb("/cron/run", "Run cron {name} now", "run_cron", "name", next="cron"),
    _verb(
        "/limit/set",
        "Set limit {name}",
        "set_limit",
        "name",
        Input(name="limit", label="Limit", type="number"),
        Input(name="per", label="Per", hint="such as 60s; of a rate"),
        Input(name="burst", label="Burst", type="number"),
        _KEY,
        asks=_FIELDS,
        next="limit",
        fields=("kind",),
    ),
    _verb(
        *("/limit/pause", "Pause limit {name}", "pause_limit", "name"),
        *(_KEY, _SECONDS),
        asks=_FIELDS,
        next="limit",
    ),
    _verb(
        *("/limit/resume", "Resume limit {name}", "resume_limit", "name"),
        next="limit",
        fields=("key",),
    ),
    _verb(
        *("/limit/reset", "Reset limit {name}", "reset_limit", "name"),
        next="limit",
        fields=("key",),
    ),
    _verb(
        f"/batches{_ID}cancel",
        "Cancel batch {id}",
        "cancel_batch",
        "id",
        asks=_ALWAYS,
        next="batch",
    ),
    _verb(
        f"/batches{_ID}retry-failed",
        "Retry failed jobs of batch {id}",
        "retry_failed_batch",
        "id",
        next="batch",
    ),
    _verb(
        f"/batches{_ID}close", "Close batch {id}", "close_batch", "id", asks=_ALWAYS, next="batch"
    ),
    _verb(
        f"/workflows{_ID}cancel",
        "Cancel workflow {id}",
        "cancel_workflow",
        "id",
        asks=_ALWAYS,
        next="workflow",
    ),
    _verb(
        f"/workflows{_ID}retry-failed",
        "Retry failed jobs of workflow {id}",
        "retry_failed_workflow",
        "id",
        next="workflow",
    ),
    _verb("/undo", "Undo", "undo", None, next="overview", fields=("token",)),
)
