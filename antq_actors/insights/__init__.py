"""What is shown of an application: one read model for pages, the terminal, ``--json`` and the API.

``Insights(app)`` reads, and what it returns are frozen values whose fields are the keys of the JSON
API. ``Insights(app).verbs(visitor)`` does what web, terminal and API do. Nothing here knows HTTP.

reader.py      ``Insights``, one line for each question
source.py      what every reading is given: the application, its store, its time, what is hidden
values.py      what is returned of jobs and failures; other files have their own beside them
overview.py    whether all is well; attention.py decides what needs attention
queues.py      queues with their slots; rates.py how fast they work
nodes.py       the processes that run them; store.py the store; composed.py batches and workflows
crons.py       one periodic entry; limits.py one limit; why.py why a job, or a queue, does nothing
trees.py       supervision trees; replay.py as they were before an event, layout.py on a map
recordings.py  what one actor does for a while; asking.py asks a node about its actors
prediction.py  what follows from an actor's end; chaos.py ends one, tree_verbs.py for visitors
chaos_plan.py  a chaos run as values: who is next, and the report; chaos_runs.py carries it out
quiz.py        what a learner predicts of an actor's end, and what of it was right
filters.py     the grammar of filters; its values are in filter_values.py
search.py      which jobs a filter finds, within a budget of time; candidates.py has what each has
bulk.py        many jobs changed at once; bulk_order.py decides which, and which are refused
items.py       a job of a list, and what can be done with it
jobs.py        one job: its executions, its history, its film, related jobs
errors.py      what failed, grouped; fingerprints.py decides what is alike
charts.py      what happened to jobs over a span of time, as series of numbers
redaction.py   what is hidden
as_json.py     a value of insights as what the JSON API answers
access.py      who may do what
verbs.py       what can be done; doing.py how, for whom and with what answer, and what it is told in
               fields.py; job_verbs.py, bulk_verbs.py, queue_verbs.py and flow_verbs.py have them
"""

from __future__ import annotations

from antq_actors.insights.access import Access, Forbidden, Visitor
from antq_actors.insights.bulk import MatchesChanged, change_jobs
from antq_actors.insights.filters import Filter, FilterError
from antq_actors.insights.prediction import Prediction, predict
from antq_actors.insights.reader import Insights
from antq_actors.insights.replay import replay
from antq_actors.introspection import shown

__all__ = [
    "Access",
    "Filter",
    "FilterError",
    "Forbidden",
    "Insights",
    "MatchesChanged",
    "Prediction",
    "Visitor",
    "change_jobs",
    "predict",
    "replay",
]


def __dir__() -> list[str]:
    """Return what `__all__` has, and not what this file imported."""
    return shown(globals())
