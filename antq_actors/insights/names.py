"""The names and numbers that a filter can ask for, to be offered while someone writes it.

They come from counts and from the records of queues, nodes, crons, open batches and workflows: no
job is read. Each is written as a filter writes it, in quotes where it needs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.insights.filter_values import Text, show_text
from antq_actors.insights.filters import KEYS, TIMES
from antq_actors.insights.rates import counted_workers
from antq_actors.jobs import worker_registry
from antq_actors.jobs.state import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from antq_actors.app.workflow_run import WorkflowRun
    from antq_actors.insights.source import Source
    from antq_actors.jobs.batch import Batch

MOST_NAMES: Final = 200
"""Of each key; those that come last are left out."""
LONGEST_NAME: Final = 200
"""Characters of a name, as a filter writes it; a longer one is not offered."""
AGES: Final = ("<15m", "<1h", "<24h", "<7d")
_NESTED: Final = {"arg.PATH": ("arg.", "arg.user.id:42"), "meta.KEY": ("meta.", "meta.tenant:acme")}
"""Keys that go on: what is offered of them, and an example."""


@dataclass(frozen=True, slots=True)
class FilterName:
    """A key, or a value of one."""

    text: str
    """As a filter writes it."""
    note: str = ""
    """What is shown beside it: the name of a batch, the host of a node."""


@dataclass(frozen=True, slots=True)
class FilterNames:
    """What can be offered for a filter."""

    keys: tuple[FilterName, ...]
    """With the colon, or the dot, that follows them."""
    values: Mapping[str, tuple[FilterName, ...]]
    """Those of each key that has any, by key."""


def read_names(source: Source) -> FilterNames:
    """Read the names that a filter can ask for."""
    app = source.app
    values = {
        "status": [FilterName(status.value) for status in Status],
        "queue": _texts(source.store.known_queues()),
        "worker": _texts({*counted_workers(source), *worker_registry.names()}),
        "node": [FilterName(str(each.number), each.host) for each in app.nodes()],
        "cron": _texts(each.name for each in app.crons()),
        "batch": _numbered(app.batches(open=True)),
        "workflow": _numbered(app.workflows(open=True)),
        **{key: [FilterName(age) for age in AGES] for key in sorted(TIMES)},
    }
    keys = (_NESTED.get(key, (f"{key}:", "")) for key in KEYS)
    return FilterNames(
        tuple(FilterName(*each) for each in keys),
        {key: tuple(names[:MOST_NAMES]) for key, names in values.items() if names},
    )


def _texts(names: Iterable[str]) -> list[FilterName]:
    """Return names in order, those that are not too long."""
    written = (show_text(Text(name)) for name in sorted(names))
    return [FilterName(text) for text in written if len(text) <= LONGEST_NAME]


def _numbered(groups: Sequence[Batch] | Sequence[WorkflowRun]) -> list[FilterName]:
    """Return the ids of batches or workflows with their names, the newest first."""
    return [FilterName(str(each.id), (each.name or "")[:LONGEST_NAME]) for each in groups[::-1]]
