"""``antq overview``, ``queues``, ``info``: what is shown of a store, as text or as JSON."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from antq_actors.cli import output, render
from antq_actors.cli.listing import AsJson
from antq_actors.cli.output import printable
from antq_actors.cli.render import PlainTable
from antq_actors.cli.store import StorePath, open_shown_store, open_store
from antq_actors.insights import Insights
from antq_actors.insights.as_json import as_json as api_json
from antq_actors.insights.overview import Overview
from antq_actors.insights.queues import QueueSummary
from antq_actors.insights.store import StoreView

_MIB = 2**20


def overview(path: StorePath, *, as_json: AsJson = False) -> None:
    """Show whether all is well: what waits and runs, and what needs attention.

    \b
    Example:
      antq overview --path jobs
    """
    with open_shown_store(path) as app:
        found = Insights(app).overview()
    if as_json:
        render.write_json(api_json(found))
        return
    for line in _overview_lines(found):
        output.write(printable(line))


def _overview_lines(found: Overview) -> Iterator[str]:
    oldest = f", the first due since {_moment(found.oldest_due)}" if found.oldest_due else ""
    yield f"{found.waiting:,} waiting{oldest}"
    yield f"{found.running:,} running in {found.slots:,} slots"
    yield f"{found.done_per_minute:,.1f} ended a minute, {found.failed_per_minute:,.1f} failed"
    yield f"{found.retries_due:,} retries due; the store takes {found.store_fill:.0%} of its room"
    if not found.attention:
        last = f" The last job ended {_moment(found.last_ended_at)}." if found.last_ended_at else ""
        yield f"All is well.{last}"
    for row in found.attention:
        yield f"{row.level}: {row.text} {row.fix}"


def queues(path: StorePath, *, as_json: AsJson = False) -> None:
    """Show each queue: what waits, what runs in how many slots, and where that is heading.

    \b
    Example:
      antq queues --path jobs
    """
    with open_shown_store(path) as app:
        found = Insights(app).queues()
    if as_json:
        render.write_json(api_json({"items": found, "next": None, "previous": None}))
        return
    table = PlainTable("queue", "waiting", "due", "running", "slots", "in/min", "out/min", "state")
    for queue in found:
        table.add(*map(str, _queue_row(queue)))
    render.write_table(table)


def _queue_row(queue: QueueSummary) -> tuple[Any, ...]:
    rate = queue.per_minute
    numbers = (queue.waiting, queue.due, queue.running, queue.slots)
    return (printable(queue.name), *numbers, f"{rate.in_:.1f}", f"{rate.out:.1f}", _state(queue))


def _state(queue: QueueSummary) -> str:
    if queue.paused is not None:
        by = f" by {queue.paused.by}" if queue.paused.by else ""
        return printable(f"paused{by}")
    if not queue.nodes:
        return "no process runs it"
    if queue.forecast is None:
        return ""
    if queue.forecast.empty_in is not None:
        return f"empty in {queue.forecast.empty_in:.0f} s"
    return f"grows by {queue.forecast.grows:.0f}/min"


def info(path: StorePath, *, as_json: AsJson = False) -> None:
    """Show how large a store is, and what of it can be returned to the disk.

    Applications may be running.

    \b
    Example:
      antq info --path jobs
    """
    with open_store(path) as app:
        found = Insights(app).store()
    if as_json:
        render.write_json(api_json(found))
        return
    for line in _info_lines(found):
        output.write(printable(line))


def _info_lines(found: StoreView) -> Iterator[str]:
    size, pages = found.pages.size, found.pages
    used = (2 + sum(pages.used.values())) * size
    free = pages.free * size
    yield f"{found.path}/data.mdb: {found.bytes / _MIB:.1f} MiB."
    yield f"  {used / _MIB:.1f} MiB hold jobs and their indexes."
    yield f"  {free / _MIB:.1f} MiB were freed by deleted jobs, for the next ones."
    yield f"  {max(0, found.bytes - used - free) / _MIB:.1f} MiB are reserved ahead."
    yield f"  {len(found.readers)} readers; the last transaction is {found.last_txn:,}."
    for what, done in (
        ("Pruned", found.pruned),
        ("Verified", found.verify),
        ("Backed up", found.backups[0] if found.backups else None),
    ):
        yield f"  {what}: {'never, as far as is known' if done is None else _moment(done.at)}."
    yield "`antq compact` returns what is free and reserved to the disk."


def _moment(at: datetime | None) -> str:
    return "-" if at is None else output.local_time(at)
