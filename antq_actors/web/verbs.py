"""Verbs of the dashboard are those of insights: a route says which, and what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.web.routes import FORM_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable

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
