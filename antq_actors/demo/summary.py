"""The summary of a campaign: written by a job that is stored when the last lead has ended."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from antq_actors import Status, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from antq_actors import AntQ, BatchStatus, Job

SUMMARY_QUEUE: Final = "summary"
_PAGE_JOBS: Final = 1_000


class WriteSummary(Worker, queue=SUMMARY_QUEUE, result=True):
    """Writes what became of the members of its batch to ``args["file"]``, and returns it.

    They are the jobs of the queue ``args["queue"]``.
    """

    app: ClassVar[AntQ]
    """The application of this process, which has the jobs."""

    def perform(self, job: Job) -> str:
        """Write the file anew: so it does no harm to do it twice."""
        reasons = Counter(reason_of(failed) for failed in _failed_jobs(self.app, job))
        text = summary_text(job.batch.status(), reasons)
        file = Path(job.args["file"])
        unfinished = file.with_name(f"{file.name}.part")
        unfinished.write_text(f"{text}\n", encoding="utf-8")
        unfinished.replace(file)
        return text


def summary_text(status: BatchStatus, reasons: Mapping[str, int]) -> str:
    """Return the summary of a campaign that has ended, with how many failed for each reason."""
    lines = [f"{status.total:,} leads"]
    for number, name in (
        (status.completed, "completed"),
        (status.failed, "failed"),
        (status.cancelled, "cancelled"),
    ):
        if number:
            lines.append(f"  {number:,} {name} ({number / status.total:.1%})")
            if name == "failed":
                lines += [f"    {count:,} {reason}" for reason, count in sorted(reasons.items())]
    return "\n".join(lines)


def reason_of(failed: Job) -> str:
    """Return why a promotion failed, without what differs from lead to lead."""
    if not failed.errors:
        return "unknown"
    newest = failed.errors[0]
    return newest.error_type or newest.error


def _failed_jobs(app: AntQ, job: Job) -> Iterator[Job]:
    """Yield the failed ones a page at a time: there may be more than the memory has room for."""
    after = 0
    while page := app.list_jobs(
        queue=job.args["queue"], status=Status.FAILED, after=after, limit=_PAGE_JOBS
    ):
        yield from page
        after = page[-1].id
