"""What a search reads: pages of jobs by their lanes, or those that an index names.

A page is one transaction, so each is small; what a job must be beyond its lane, the caller decides.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from antq_actors.jobs.state import Status
from antq_actors.storage.format.records import Span
from antq_actors.storage.jobs.edges import EdgeTable
from antq_actors.storage.jobs.groups import BATCH, GROUP, WORKFLOW, GroupTable
from antq_actors.storage.jobs.upstreams import Upstreams
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_from, keys_down_from, keys_from

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    import lmdb
    from lmdb import _Database

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.entry_reader import RawJob
    from antq_actors.storage.jobs.meta import Meta
    from antq_actors.storage.jobs.table import JobEntries
    from antq_actors.storage.lmdb.tables import Tables

Lanes: TypeAlias = Callable[[Status, str], bool]
"""Returns whether a search is about the jobs of a status and a queue."""

MOST_NAMED: Final = 10_000
"""Jobs that an index names and that are sorted by their ids; of more, all jobs are looked at."""


class SearchPage(NamedTuple):
    """A part of the jobs that a search looks at."""

    jobs: Sequence[RawJob]
    last: int | None
    """The id of the last one that was looked at; None: there was none."""
    is_last: bool
    """Whether nothing is behind it."""


class Named(NamedTuple):
    """What jobs have in common that an index knows; None: the search is not about that."""

    ended: tuple[Instant, Instant] | None = None
    """Between these instants, both included."""
    groups: frozenset[int] | None = None


class SearchReader:
    """Reads what searches look at in one LMDB transaction."""

    _txn: lmdb.Transaction
    _tables: Tables
    _jobs: JobEntries
    _meta: Meta

    def search_page(
        self, lanes: Lanes | None, span: Span, *, size: int, errors: int | None
    ) -> SearchPage:
        """Read the first *size* jobs of *span* in *lanes*, by id; None: any jobs.

        *errors*: no more than so many of each, the newest; None: all.
        """
        return self._search_page(self._lane_ids(lanes, span), size, errors)

    def search_failed(self, span: Span, *, size: int, errors: int | None) -> SearchPage:
        """Read the first *size* jobs of *span* that have errors, by id."""
        return self._search_page(self._ids_with_errors(span), size, errors)

    def _search_page(self, found: Iterator[int], size: int, errors: int | None) -> SearchPage:
        ids = list(islice(found, size + 1))
        is_last = len(ids) <= size
        del ids[size:]
        return SearchPage(self._raw_jobs(ids, errors), ids[-1] if ids else None, is_last)

    def search_named(self, ids: Sequence[int], *, errors: int | None) -> list[RawJob]:
        """Read those of the jobs with these ids that there are, in their order."""
        return self._raw_jobs(ids, errors)

    def count_lanes(self, lanes: Lanes | None) -> int:
        """Read how many jobs are in *lanes*, by their counts; None: all jobs."""
        return sum(
            self._jobs.count(keys.lane(status, queue))
            for status, queue in self._jobs.lanes()
            if lanes is None or lanes(status, queue)
        )

    def count_by_status(self, lanes: Lanes | None) -> dict[Status, int]:
        """Read how many jobs of each status are in *lanes*, by their counts; None: of all jobs."""
        found: Counter[Status] = Counter()
        for status, queue in self._jobs.lanes():
            if lanes is None or lanes(status, queue):
                found[status] += self._jobs.count(keys.lane(status, queue))
        return found

    def ids_in_lanes(self, lanes: Lanes | None, after: int, size: int) -> list[int]:
        """Read the first *size* ids behind *after* of the jobs in *lanes*, without the jobs."""
        return list(islice(self._lane_ids(lanes, Span(after=after)), size))

    def named_ids(self, named: Named, most: int) -> list[int] | None:
        """Read the ids of the jobs that an index names, sorted; None: no index helps.

        So it is where it names too many jobs, or not fewer than *most*.
        """
        most = min(most, MOST_NAMED)
        if named.groups is not None:
            ids = list(islice(self._ids_in(named.groups), most))
            if len(ids) < most:
                return sorted(ids)
        # Jobs in groups are not in the rows of what ended: their group is.
        if named.ended is not None and not self._tables.has_rows(self._txn, "members"):
            ended = self._ids_ended(*named.ended, most)
            if ended is not None:
                return sorted(ended)
        return None

    def has_fewer_errors(self, lanes: Lanes | None) -> bool:
        """Read whether there are fewer errors than jobs in *lanes*."""
        entries: int = self._txn.stat(self._tables.errors)["entries"]
        return entries < self.count_lanes(lanes)

    def known_errors(self) -> dict[str, str]:
        """Read until which version failures are known, by their fingerprints."""
        return self._meta.known_errors()

    def roots_of_groups(self, batches: Iterable[int], workflows: Iterable[int]) -> dict[int, int]:
        """Read which groups belong to these batches and workflows, each with its number."""
        table = GroupTable(self._txn, self._tables)
        found = {}
        for kind, numbers in ((BATCH, batches), (WORKFLOW, workflows)):
            for number in numbers:
                spec = table.spec(number) if keys.is_id(number) else None
                if spec is None or spec.kind != kind:
                    continue
                left = [number]
                while left:
                    group = left.pop()
                    found[group] = number
                    if kind == WORKFLOW:
                        left += [id_ for id_, what in table.members(group) if what == GROUP]
        return found

    def retry_causes(self, ids: Iterable[int]) -> dict[int, int]:
        """Read which of these jobs cannot be retried before another one, and before which."""
        upstreams = Upstreams(self._jobs, GroupTable(self._txn, self._tables))
        edges = EdgeTable(self._txn, self._tables)
        found = {id_: upstreams.obstacles(edges, id_)[0] for id_ in ids}
        return {id_: causes[0] for id_, causes in found.items() if causes}

    # ---- jobs -----------------------------------------------------------------------------

    def _raw_jobs(self, ids: Sequence[int], errors: int | None) -> list[RawJob]:
        wanted = list(map(keys.job_key, ids))
        records = self._jobs.records(wanted)
        payloads = self._jobs.payloads(wanted, records)
        return [
            self._listed(id_, records[key], payloads.get(key, b""), errors=errors)
            for id_, key in zip(ids, wanted, strict=True)
            if key in records
        ]

    def _listed(
        self, id_: int, record: bytes | None, payload: bytes, *, errors: int | None = None
    ) -> RawJob:
        raise NotImplementedError

    # ---- their ids ------------------------------------------------------------------------

    def _lane_ids(self, lanes: Lanes | None, span: Span) -> Iterator[int]:
        """Return the ids of the jobs of *span* in *lanes*, in order."""
        first = max(0, span.after) + 1
        last = keys.LARGEST_ID if span.before is None else min(span.before - 1, keys.LARGEST_ID)
        if first > last:
            return iter(())
        ids = self._ids_down if span.newest_first else self._ids_up
        ranges = [ids(table, prefix, first, last) for table, prefix in self._lane_ranges(lanes)]
        return ranges[0] if len(ranges) == 1 else heapq.merge(*ranges, reverse=span.newest_first)

    def _lane_ranges(self, lanes: Lanes | None) -> Iterator[tuple[_Database, bytes]]:
        if lanes is None:
            yield self._tables.jobs, b""
            return
        for status, queue in self._jobs.lanes():
            if lanes(status, queue):
                yield from self._ranges_of_lane(status, queue)

    def _ranges_of_lane(self, status: Status, queue: str) -> Iterator[tuple[_Database, bytes]]:
        """Yield LMDB tables and key prefixes that name a lane's jobs, ids ascending in each."""
        lane, index = keys.lane(status, queue), self._tables.index
        if status in keys.LISTED:
            yield index, keys.listing_lane(lane)
            return
        yield from ((index, prefix) for prefix in self._jobs.orders(lane))
        if status is Status.ENQUEUED and self._meta.queue_limits(queue).has_jobs:
            yield index, keys.listing_lane(lane)

    def _ids_up(self, table: _Database, prefix: bytes, first: int, last: int) -> Iterator[int]:
        """Yield the job ids from *first* up to *last* that *table* has under *prefix*."""
        end = prefix + keys.job_key(last)
        for key in keys_from(self._txn, table, prefix + keys.job_key(first)):
            if key > end or len(key) != len(end):
                return
            yield keys.id_at_end(key)

    def _ids_down(self, table: _Database, prefix: bytes, first: int, last: int) -> Iterator[int]:
        """Yield the job ids from *last* down to *first* that *table* has under *prefix*."""
        end = prefix + keys.job_key(first)
        for key in keys_down_from(self._txn, table, prefix + keys.job_key(last)):
            if key < end or len(key) != len(end):
                return
            yield keys.id_at_end(key)

    def _ids_ended(self, first: Instant, last: Instant, most: int) -> list[int] | None:
        """Return the ids of the jobs that ended between two instants; None: *most* or more."""
        rows: list[bytes] = []
        end, left = keys.ends_prefix(last), most * len(keys.job_key(0))
        for key, row in items_from(self._txn, self._tables.index, keys.ends_prefix(first)):
            if key[: len(end)] > end:
                break
            rows.append(row)
            left -= len(row)
            if left <= 0:
                return None
        return [id_ for row in rows for id_ in keys.ids_of(keys.ids_in(row))]

    def _ids_in(self, groups: Collection[int]) -> Iterator[int]:
        """Yield the ids of the jobs that belong to these groups."""
        table = GroupTable(self._txn, self._tables)
        for group in groups:
            yield from (id_ for id_, kind in table.members(group) if kind != GROUP)

    def _ids_with_errors(self, span: Span) -> Iterator[int]:
        """Yield the ids of the jobs of *span* that have errors, each once, in order."""
        first = max(0, span.after) + 1
        last = keys.LARGEST_ID if span.before is None else min(span.before - 1, keys.LARGEST_ID)
        table = self._tables.errors
        while first <= last:
            if span.newest_first:
                end = keys.error_key(last, keys.LARGEST_NUMBER)
                key = next(keys_down_from(self._txn, table, end), b"")
            else:
                key = next(keys_from(self._txn, table, keys.job_key(first)), b"")
            id_ = int.from_bytes(key[: len(keys.job_key(0))])
            if not first <= id_ <= last:
                return
            yield id_
            first, last = (first, id_ - 1) if span.newest_first else (id_ + 1, last)
