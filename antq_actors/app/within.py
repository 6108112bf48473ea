"""Jobs that are stored together, within the middleware of their application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from antq_actors.jobs.middleware import with_meta
from antq_actors.jobs.state import StoredJob
from antq_actors.storage.format.encoding import as_job
from antq_actors.storage.jobs.plan_items import NewNode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.middleware import JobDraft, Pipeline
    from antq_actors.jobs.state import NewJob
    from antq_actors.storage.jobs.plan_items import PlanItem

T = TypeVar("T")

MOST_NESTED: Final = 50
"""Jobs that are stored together, each within the middleware of its own; more are one batch."""


def together_within(
    middleware: Pipeline,
    drafts: Sequence[JobDraft],
    store: Callable[[list[NewJob]], Sequence[int]],
) -> None:
    """Store jobs together within the middleware: of each of them, or of a batch if they are many.

    *store* returns their ids in order. Raises RuntimeError if a middleware does not call it.
    """
    jobs: list[Job] = []

    def store_all(news: Sequence[NewJob]) -> list[int]:
        ids = store(list(news))
        for id_, new, draft in zip(ids, news, drafts, strict=True):
            jobs.append(as_job(StoredJob(id_, new.state, new.spec, ()), draft.args))
        return list(ids)

    def store_from(position: int, news: tuple[NewJob, ...]) -> None:
        if position == len(drafts):
            store_all(news)
            return

        def store_one(new: NewJob) -> Job:
            store_from(position + 1, (*news, new))
            return jobs[position]

        middleware.store(drafts[position], store_one)

    if len(drafts) > MOST_NESTED:
        middleware.store_many(drafts, store_all)
    else:
        store_from(0, ())
    if drafts and not jobs:
        raise RuntimeError(
            "a middleware has not called call(), so none of the jobs that belong together is"
            " stored; raise to refuse them"
        )


def plan_within(
    middleware: Pipeline,
    drafts: list[JobDraft],
    items: list[PlanItem],
    write: Callable[[list[PlanItem]], T],
    numbers_of: Callable[[T], Sequence[int]],
) -> T:
    """Write a piece of a workflow within the middleware; return what *write* returns.

    *drafts*: of its nodes in order, and of those that come after them; those of the piece are
    removed. *numbers_of*: returns the numbers of the items of what was written.
    """
    nodes = sum(isinstance(item, NewNode) for item in items)
    own = drafts[:nodes]
    del drafts[:nodes]
    if not own:
        return write(items)
    written: list[T] = []

    def store(news: list[NewJob]) -> list[int]:
        metas = iter([new.spec.meta for new in news])
        changed: list[Any] = [
            item._replace(new=with_meta(item.new, next(metas)))
            if isinstance(item, NewNode)
            else item
            for item in items
        ]
        written.append(write(changed))
        numbers = numbers_of(written[0])[-len(items) :]
        return [
            number for number, item in zip(numbers, items, strict=True) if isinstance(item, NewNode)
        ]

    together_within(middleware, own, store)
    return written[0]
