"""Asks insights for what a view shows. Nothing is kept between two readings but what is passed in.

Every method reads a store, or another process, so it may wait: call it off the thread that draws.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from antq_actors.errors import JobNotFound, UnknownQueue
from antq_actors.insights.reader import Insights
from antq_actors.top.details import actor_lines, job_lines, queue_lines
from antq_actors.top.frame import frame_lines
from antq_actors.top.jobs_tab import PAGE_JOBS, Listed, Place, jobs_frame
from antq_actors.top.look import WARN
from antq_actors.top.tabs import Tab, nodes_frame, overview_frame, queues_frame, tree_frame

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from rich.text import Text

    from antq_actors import AntQ
    from antq_actors.top.frame import Frame, Subject
    from antq_actors.top.look import Look


class Reading:
    """What an application's store shows now."""

    def __init__(self, app: AntQ, look: Look) -> None:
        self.insights = Insights(app)
        self.look = look

    @staticmethod
    def _now() -> datetime:
        return datetime.now(UTC)

    def frame(self, tab: Tab, node: int | None = None) -> Frame:
        """Read a tab that is no list of jobs; *node*: whose tree, None: the first one's.

        A node that is gone by now is taken as None.
        """
        now = self._now()
        if tab is Tab.OVERVIEW:
            return overview_frame(self.insights.overview(), self.look)
        if tab is Tab.QUEUES:
            return queues_frame(self.insights.queues(), now, self.look)
        nodes = self.insights.nodes()
        if tab is Tab.NODES:
            return nodes_frame(nodes, now, self.look)
        living = [each.node for each in nodes if each.alive]
        tree = self.insights.tree(node if node in living else None)
        return tree_frame(tree, living, now, self.look)

    def jobs(self, place: Place, shown: Listed | None = None) -> Listed:
        """Read a page of jobs; with *shown*, how the jobs that it shows stand now.

        Raises FilterError.
        """
        if shown is None or shown.place != place or not shown.page.items:
            page = self.insights.jobs(
                place.filter, after=place.after, before=place.before, limit=PAGE_JOBS
            )
            return Listed(place, page)
        ids = [item.id for item in shown.page.items]
        new = self._new(place, max(ids)) if place.is_first else 0
        return shown.with_items(self.insights.some_jobs(ids), new)

    def _new(self, place: Place, newest: int) -> int:
        return self.insights.jobs(f"{place.filter} id:>{newest}", limit=1).count

    def jobs_frame(self, found: Listed, ticked: Collection[int] = frozenset()) -> Frame:
        """Return a page of jobs as it is shown now."""
        return jobs_frame(found, self._now(), self.look, ticked)

    def snapshot(self) -> Iterator[str]:
        """Read all tabs, of jobs the newest page, and yield them as lines of plain text."""
        for number, tab in enumerate(Tab):
            if number:
                yield ""
            yield str(tab)
            is_list = tab is Tab.JOBS
            yield from frame_lines(
                self.jobs_frame(self.jobs(Place())) if is_list else self.frame(tab)
            )

    def details(self, subject: Subject) -> list[Text]:
        """Read one thing in detail; of what is gone, that it is gone."""
        try:
            if subject.kind == "job":
                return self.job(int(subject.key))
            if subject.kind == "queue":
                return self.queue(subject.key)
            return self.actor(subject.key, subject.node)
        except (JobNotFound, UnknownQueue, LookupError) as error:
            return [self.look.text(error, WARN)]

    def job(self, id_: int) -> list[Text]:
        """Read all of one job. Raises JobNotFound."""
        job, why = self.insights.job(id_), self.insights.why(id_)
        checks = self.insights.checks(id_)
        return list(job_lines(job, why, checks, self._now(), self.look))

    def queue(self, name: str) -> list[Text]:
        """Read all of one queue. Raises UnknownQueue."""
        queue, why = self.insights.queue(name), self.insights.queue_why(name)
        return list(queue_lines(queue, why, self._now(), self.look))

    def actor(self, id_: str, node: int | None) -> list[Text]:
        """Read all of one actor of a node. Raises LookupError for a node that is gone."""
        return list(actor_lines(self.insights.tree(node), id_, self._now(), self.look))
