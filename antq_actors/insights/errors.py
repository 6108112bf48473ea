"""Failures by what they have in common: which there are, how often, where, since when.

The newest jobs are looked at first, until the budget is spent. Jobs without errors are not looked
at where the table of errors is the shorter way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from antq_actors.checks import is_utf8, short_repr
from antq_actors.insights.filters import short
from antq_actors.insights.fingerprints import fingerprint, is_digest
from antq_actors.insights.search import NEWEST, PageOf, Search
from antq_actors.insights.values import ErrorGroup, ErrorPage
from antq_actors.jobs import instant
from antq_actors.jobs.state import Status
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from antq_actors.insights.filters import Filter
    from antq_actors.insights.fingerprints import Fingerprint
    from antq_actors.insights.source import Source
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, StoredJob

HOURS: Final = 24
ONE_SECONDS: Final = 0.25
"""Seconds for which one group is looked for."""
_HOUR: Final = 3_600 * instant.SECOND
_VERSION_CHARACTERS: Final = 100


def find_errors(
    source: Source, filter_: str | Filter, after: int | None, budget: float
) -> ErrorPage:
    """Return the groups of failures of the jobs that a filter finds, the last one first.

    Raises FilterError, TypeError and ValueError.
    """
    search = Search(source, filter_, budget, with_errors=True)
    groups, last, is_last = _grouped(search, PageOf(after).check())
    known = source.store.read(JobReader.known_errors)
    versions = _versions(source) if groups else {}
    shown = [each.shown(source, known, versions) for each in groups.values()]
    shown.sort(key=lambda group: group.last, reverse=True)
    return ErrorPage(
        items=tuple(shown),
        next=None if is_last else last,
        previous=None,
        searched=search.searched,
        complete=is_last,
    )


def find_error(source: Source, digest: str, budget: float) -> ErrorGroup:
    """Return a group of failures. Raises TypeError, and LookupError if none was found in time."""
    if not isinstance(digest, str):
        raise TypeError(f"a fingerprint is text, as .errors() has it, got {short_repr(digest)}")
    page = find_errors(source, "", None, budget)
    for group in page.items:
        if group.fingerprint == digest:
            return group
    raise _not_among(page, digest)


def check_failures(source: Source, digest: str, budget: float) -> None:
    """Raise LookupError if no job has such failures; not where there was no time for all jobs."""
    page = find_errors(source, "", None, budget)
    if page.complete and all(group.fingerprint != digest for group in page.items):
        raise _not_among(page, digest)


def _not_among(page: ErrorPage, digest: str) -> LookupError:
    return LookupError(
        f"no failure with the fingerprint {short(digest)!r} is among the {page.searched:,} jobs"
        " that were looked at; .errors() lists those that there are"
    )


def failed_jobs(source: Source, digest: str, budget: float = float("inf")) -> Iterator[list[int]]:
    """Yield the ids of the failed jobs whose newest error has a fingerprint, page by page.

    All jobs are looked at, so take them as they come. Raises TimeoutError where the *budget* of
    seconds ends before.
    """
    search = Search(source, "status:failed", budget, with_errors=True)
    for page in search.pages(PageOf(order=NEWEST).span()):
        jobs = [each.decode() for each in page.jobs if search.passes(each)]
        yield [job.id for job in jobs if job.errors and _of(job.errors[0]).digest == digest]
        if page.is_last:
            return
        if search.is_over:
            raise TimeoutError(f"{budget} s were too few to look at all failed jobs")


def count_failed(source: Source, digest: str, budget: float) -> int | None:
    """Return how many failed jobs have a fingerprint; None: more than can be counted in time."""
    try:
        return sum(map(len, failed_jobs(source, digest, budget)))
    except TimeoutError:
        return None


def mark_known(source: Source, digest: str, version: str | None) -> None:
    """Note until which version a failure is known; None: it is not.

    Raises TypeError and ValueError for what is no fingerprint, or no version.
    """
    for what, value in (("fingerprint", digest), ("version", "1" if version is None else version)):
        if not isinstance(value, str):
            raise TypeError(f"{what} must be text (str), got {short_repr(value)}")
    if not is_digest(digest):
        raise ValueError(
            f"fingerprint must be one that .errors() has, such as 'c9b40ced9843c617', got"
            f" {short_repr(digest)}"
        )
    if version is not None and not (0 < len(version) <= _VERSION_CHARACTERS and is_utf8(version)):
        raise ValueError(
            f"version must be a text of 1 to {_VERSION_CHARACTERS} characters, such as '2.1', got"
            f" {short_repr(version)}"
        )
    source.store.write(JobStore.set_known_error, digest, version)


def _of(entry: ErrorEntry) -> Fingerprint:
    return fingerprint(entry.error, entry.error_type, entry.stack_trace)


@dataclass(slots=True)
class _Group:
    """Failures that are alike, as they are found."""

    newest: ErrorEntry
    first: Instant
    last: Instant
    count: int = 0
    workers: set[str] = field(default_factory=set)
    nodes: set[int] = field(default_factory=set)
    hours: list[int] = field(default_factory=lambda: [0] * HOURS)

    def add(self, entry: ErrorEntry, worker: str, now: Instant) -> None:
        """Count one more."""
        at = entry.attempted_at
        if at > self.last:
            self.newest = entry
        self.first, self.last = min(self.first, at), max(self.last, at)
        self.count += 1
        self.workers.add(worker)
        self.nodes.add(entry.node)
        ago = max(0, now - at) // _HOUR
        if ago < HOURS:
            self.hours[HOURS - 1 - ago] += 1

    def shown(
        self, source: Source, known: Mapping[str, str], versions: Mapping[int, str]
    ) -> ErrorGroup:
        """Return the group as it is shown, without what is hidden."""
        found = _of(self.newest)
        return ErrorGroup(
            fingerprint=found.digest,
            error_type=self.newest.error_type,
            text=source.redactor.text("error", self.newest.error),
            frames=tuple(map(str, found.frames)),
            first=instant.datetime_for_display(self.first),
            last=instant.datetime_for_display(self.last),
            count=self.count,
            workers=tuple(sorted(self.workers)),
            versions=tuple(sorted({versions[node] for node in self.nodes if versions.get(node)})),
            hours=tuple(self.hours),
            known=known.get(found.digest),
        )


def _grouped(search: Search, page: PageOf) -> tuple[dict[str, _Group], int | None, bool]:
    """Return the failures by their fingerprints, and how far the search came."""
    groups: dict[str, _Group] = {}
    for found in search.pages(page.span()):
        for raw in found.jobs:
            if raw.state.errors and search.passes(raw):
                _add_job(groups, raw.decode(), search.now)
        if found.is_last or search.is_over:
            break
    return groups, found.last, found.is_last


def _add_job(groups: dict[str, _Group], job: StoredJob, now: Instant) -> None:
    for entry in job.errors:
        if _is_cancellation(entry, job):
            continue
        digest = _of(entry).digest
        group = groups.get(digest)
        if group is None:
            group = groups[digest] = _Group(entry, entry.attempted_at, entry.attempted_at)
        group.add(entry, job.spec.worker, now)


def _is_cancellation(entry: ErrorEntry, job: StoredJob) -> bool:
    """Return whether an entry is the reason for which a worker cancelled its job: no failure."""
    state = job.state
    is_last = state.status is Status.CANCELLED and entry.attempted_at == state.ended_at
    return is_last and entry.error_type is None and entry.sealed is None


def _versions(source: Source) -> dict[int, str]:
    """Return the versions of the code of the nodes that are known."""
    return {node.number: node.version for node in source.store.node_infos()}
