"""``antq cancel``, ``retry``, ``delete`` and ``run-now``: of jobs named, or that filters find."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, TypeAlias

import typer

from antq_actors import AntQ, BulkOutcome, Status
from antq_actors.app import bulk
from antq_actors.cli import output
from antq_actors.cli.changes import REFUSED, change_each
from antq_actors.cli.found import FoundJobs, Reason, change_found
from antq_actors.cli.listing import Filters, FilterText, hints_printed, with_filters
from antq_actors.cli.store import StorePath, open_store

JobIds: TypeAlias = Annotated[
    list[int] | None, typer.Argument(metavar="ID", help="The jobs' ids; or give filters.")
]
Limit: TypeAlias = Annotated[
    int | None, typer.Option(min=0, help="The most jobs to change, those with the smallest ids.")
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Print how many jobs it would be, and change none.")
]
Yes: TypeAlias = Annotated[
    bool, typer.Option("--yes", help="Do not ask before more than 1,000 jobs are changed.")
]
Spread: TypeAlias = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Let them become due evenly over this time."),
]
Fresh: TypeAlias = Annotated[
    bool, typer.Option("--fresh", help="Forget their steps and checkpoints, with ids only.")
]

ASKS_ABOVE_JOBS: Final = 1_000


@with_filters
def cancel(
    path: StorePath,
    ids: JobIds = None,
    *,
    filter: FilterText = None,  # noqa: A002 - the option's name
    filters: Filters,
    limit: Limit = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> int:
    """Cancel jobs that have not ended: those named, or all that match filters.

    A running job is told to end, in whichever process it runs; it is cancelled a moment later.

    \b
    Examples:
      antq cancel 4711 4712 4713 --path jobs
      antq cancel --queue mail --status scheduled --path jobs
      antq cancel --filter 'status:scheduled arg.user.id:42' --path jobs
    """
    if filter is not None:
        found = FoundJobs("cancel", filter, None, reason, dry_run, yes)
        return change_found(path, found, {**filters, "ids": ids, "limit": limit})
    _refuse_reason(reason)
    if _are_named(ids, filters, limit=limit, dry_run=dry_run):
        return change_each(ids or [], path, _cancel)
    with open_store(path) as app:
        return _change_all(app.cancel_jobs, {**filters, "limit": limit}, dry_run=dry_run, yes=yes)


@with_filters
def retry(
    path: StorePath,
    ids: JobIds = None,
    *,
    filter: FilterText = None,  # noqa: A002 - the option's name
    filters: Filters,
    spread: Spread = None,
    limit: Limit = None,
    fresh: Fresh = False,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> int:
    """Enqueue ended jobs again: those named, or all that match filters.

    They can be failed, cancelled or completed; without --status filters find failed ones. All their
    attempts are available again.

    \b
    Examples:
      antq retry 4711 4712 --path jobs
      antq retry --status failed --queue mail --error timeout --spread 600 --path jobs
      antq retry --filter 'status:failed error:timeout ended:<1h' --dry-run --path jobs
    """
    if filter is not None:
        found = FoundJobs("retry", filter, spread, reason, dry_run, yes)
        return change_found(path, found, {**filters, "ids": ids, "limit": limit, "fresh": fresh})
    _refuse_reason(reason)
    if _are_named(ids, filters, limit=limit, dry_run=dry_run, spread=spread):
        return change_each(
            ids or [],
            path,
            lambda app, id_: f"Job {id_} is {app.retry_job(id_, fresh=fresh).status}.",
        )
    if fresh:
        raise typer.BadParameter("--fresh is for jobs that are named by their ids")
    filters = {
        **filters,
        "status": filters["status"] or "failed",
        "limit": limit,
        "spread": spread or 0.0,
    }
    with open_store(path) as app:
        return _change_all(app.retry_jobs, filters, dry_run=dry_run, yes=yes)


@with_filters
def delete(
    path: StorePath,
    ids: JobIds = None,
    *,
    filter: FilterText = None,  # noqa: A002 - the option's name
    filters: Filters,
    limit: Limit = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> int:
    """Delete jobs of any status, for good: those named, or all that match filters.

    A running job is not stopped; its outcome is dropped.

    \b
    Examples:
      antq delete 4711 4712 --path jobs
      antq delete --status completed --inserted-before 2030-04-01 --path jobs
    """
    if filter is not None:
        found = FoundJobs("delete", filter, None, reason, dry_run, yes)
        return change_found(path, found, {**filters, "ids": ids, "limit": limit})
    _refuse_reason(reason)
    if _are_named(ids, filters, limit=limit, dry_run=dry_run):
        return change_each(ids or [], path, _delete)
    with open_store(path) as app:
        return _change_all(app.delete_jobs, {**filters, "limit": limit}, dry_run=dry_run, yes=yes)


def run_now(
    path: StorePath,
    ids: JobIds = None,
    *,
    filter: FilterText = None,  # noqa: A002 - the option's name
    spread: Spread = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> int:
    """Make scheduled and retrying jobs due now: those named, or all that a filter finds.

    They run when their queue has a free slot. Enqueued jobs are due already.

    \b
    Examples:
      antq run-now 4711 4712 --path jobs
      antq run-now --filter 'status:retrying queue:mail' --spread 60 --path jobs
    """
    if filter is not None:
        found = FoundJobs("run-now", filter, spread, reason, dry_run, yes)
        return change_found(path, found, {"ids": ids})
    _refuse_reason(reason)
    if not ids:
        raise typer.BadParameter("give ids, or --filter", param_hint="ID")
    if spread is not None or dry_run:
        raise typer.BadParameter("give ids or --filter, not both", param_hint="ID")
    return change_each(ids, path, _run_now)


def _run_now(app: AntQ, id_: int) -> str:
    return f"Job {id_} is {app.run_now(id_).status}, and due now."


def _cancel(app: AntQ, id_: int) -> str:
    job = app.cancel_job(id_)
    if job.status is Status.RUNNING:
        return f"Job {id_} is running, and was told to end."
    return f"Job {id_} is {job.status}."


def _delete(app: AntQ, id_: int) -> str:
    app.delete_job(id_)
    return f"Job {id_} is deleted."


def _are_named(ids: list[int] | None, filters: dict[str, Any], **others: object) -> bool:
    """Return whether a command names the jobs to change. Both ids and filters are wrong usage."""
    has_filter = any(value is not None for value in filters.values())
    if not ids and not has_filter:
        raise typer.BadParameter(
            "give ids, or filters such as --queue or --status", param_hint="ID"
        )
    # Not by equality: 0 equals False, and is given.
    is_given = any(value is not None and value is not False for value in others.values())
    if ids and (has_filter or is_given):
        raise typer.BadParameter("give ids or filters, not both", param_hint="ID")
    return bool(ids)


def _refuse_reason(reason: str | None) -> None:
    """Refuse a reason that would be noted nowhere as wrong usage."""
    if reason is not None:
        raise typer.BadParameter(
            "a reason is noted in the audit, where only changes with --filter are; give --filter",
            param_hint="--reason",
        )


def _change_all(
    change: Callable[..., BulkOutcome], filters: dict[str, Any], *, dry_run: bool, yes: bool
) -> int:
    """Change all jobs that the filters find, print how many; return the exit code."""
    try:
        total = None
        if dry_run or not yes:
            with hints_printed():
                total = change(**filters, dry_run=True).changed
            if dry_run or not total:
                output.write(str(total))
                return 0
            if total > ASKS_ABOVE_JOBS and not _is_confirmed(total, change.__name__):
                return REFUSED
        with hints_printed(), _progress(total):
            outcome = change(**filters)
    except (TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    output.report(str(outcome.changed))
    if outcome.skipped or outcome.refused:
        output.write_stderr(
            f"{outcome.skipped} skipped, as they had changed; {outcome.refused} refused, as a"
            " unique job is in the way or a limit is full"
        )
    return 0


def _is_confirmed(total: int, method: str) -> bool:
    verb = method.partition("_")[0]
    if output.ask(f"antq: {verb} {total} jobs? Answer y, or give --yes: ") in {"y", "yes"}:
        return True
    output.write_stderr("nothing was changed")
    return False


@contextmanager
def _progress(total: int | None) -> Iterator[None]:
    """Show on a terminal, in the ``with`` block, how many jobs are changed."""
    if sys.stderr is None or sys.stderr.closed or not sys.stderr.isatty():
        yield
        return
    of = "" if total is None else f" of {total}"
    with bulk.reported_to(lambda done: output.write_over(f"{done.changed}{of} jobs")):
        try:
            yield
        except BaseException:
            output.write_stderr("")  # how many were changed stays to be seen
            raise
    output.write_over("")
