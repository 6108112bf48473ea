"""What an application declares of periodic entries: in ``crons=``, on workers, in a settings file.

What is wrong with one is found where it is given, or when a node starts, before anything is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from antq_actors.checks import list_known, short_repr
from antq_actors.errors import AntqError, ConfigError, CronError, UnknownQueue
from antq_actors.flow.cron import Cron, Every
from antq_actors.flow.cron_options import check_entry_name
from antq_actors.jobs import resolver, worker_registry
from antq_actors.jobs.new_job import JobTemplate
from antq_actors.jobs.unique import canonical
from antq_actors.storage.format.values import encode_args
from antq_actors.storage.jobs.crons import CronDeclaration

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob

Entry: TypeAlias = Cron | Every
"""A periodic entry."""

Templates: TypeAlias = Callable[["AnyWorker", Mapping[str, Any]], JobTemplate]
"""Returns what the jobs of a worker with these options have in common, all checked."""


class WrongEntry(ConfigError, TypeError):
    """A periodic entry with an argument or option that its worker does not take."""


def check_entry(entry: object) -> Entry:
    """Return *entry* if it is a periodic entry; else raise TypeError."""
    if isinstance(entry, Cron | Every):
        return entry
    raise TypeError(
        "a periodic entry is a Cron or an Every, such as Cron('0 3 * * *', worker=Nightly), got"
        f" {short_repr(entry)}"
    )


def check_crons(crons: object, queues: Collection[str], *, runs_queues: bool) -> tuple[Entry, ...]:
    """Return what ``AntQ(crons=…)`` was given, checked as far as its workers are known.

    Raises TypeError for what is no entry, ConfigError for one without a worker and for two of one
    name, UnknownQueue, and what a wrong option or argument raises.
    """
    if isinstance(crons, Cron | Every | str | bytes | Mapping) or not isinstance(crons, Iterable):
        raise TypeError(
            "crons must be a list of Cron and Every, such as [Cron('0 3 * * *', worker=Nightly)],"
            f" got {short_repr(crons)}"
        )
    default = next(iter(queues))
    names: set[str] = set()
    entries = tuple(map(check_entry, crons))
    for entry in entries:
        name = _name_of(entry)
        if name in names:
            raise _twice(name)
        names.add(name)
        queue = entry.options.get("queue")
        worker = entry.worker
        if isinstance(worker, str):
            worker = worker_registry.defined(worker)
        if worker is not None:  # else a name: its module is imported when a node starts
            with _named(name):
                template = JobTemplate(worker, entry.options, default_queue=default)
                _new_job(template, entry, 0)
            queue = template.queue
        if runs_queues and isinstance(queue, str) and queue not in queues:
            raise UnknownQueue(
                f"the periodic entry {name!r} is for queue {queue!r}, which this application does"
                f" not have{list_known(queue, queues)}"
            )
    return entries


def declared_here(
    entries: Iterable[Entry], queues: Collection[str], templates: Templates, now: Instant
) -> list[CronDeclaration]:
    """Return what a node with these *queues* declares: *entries*, and those of its workers.

    Raises ConfigError for two of one name and for a worker that cannot be imported, and what
    *templates* raises.
    """
    listed = ((_name_of(each), each, None) for each in entries)
    found: dict[str, tuple[Entry, AnyWorker | None]] = {}
    for name, entry, worker in (*listed, *_of_workers(queues)):
        if name in found:
            raise _twice(name)
        found[name] = entry, worker
    declarations = []
    for name, (entry, worker) in found.items():
        with _named(name):
            declarations.append(declaration(name, entry, templates, now, worker))
    return declarations


def declaration(
    name: str, entry: Entry, templates: Templates, now: Instant, worker: AnyWorker | None = None
) -> CronDeclaration:
    """Return an entry as it is stored under *name*. *worker*: that on whose class line it is.

    Raises CronError, and what *templates* raises.
    """
    check_entry_name(name)
    template = templates(worker or _worker_of(name, entry), entry.options)
    new = _new_job(template, entry, now)
    parts = []
    for part in (template.worker, dict(entry.options), dict(entry.args)):
        try:
            parts.append(canonical(part))
        except Exception:  # noqa: BLE001 - an argument may be anything that can be pickled
            parts.append(new.spec.args)
    return CronDeclaration(name, entry, new, entry.digest(*parts))


def _new_job(template: JobTemplate, entry: Entry, now: Instant) -> NewJob:
    args = template.check(entry.args)
    return template.new_job(template.state_at(now), args, encode_args(args))


def _of_workers(queues: Collection[str]) -> Iterator[tuple[str, Entry, AnyWorker]]:
    """Yield the entries on the class lines of the workers that are defined here."""
    default = next(iter(queues))
    for worker in worker_registry.workers():
        entry: Entry | None = vars(worker).get("antq_cron")
        if entry is None:
            continue
        queue = entry.options.get("queue") or worker.antq_options.queue or default
        if queue in queues:
            yield entry.name or worker.antq_name, entry, worker


def _name_of(entry: Entry) -> str:
    """Return the name of an entry in a list. Raises ConfigError for one without a worker."""
    if entry.worker is None:
        raise ConfigError(
            f"{entry!r} in crons has no worker: write worker=Nightly, or give it to a worker as"
            " its option cron"
        )
    if entry.name is not None:
        return entry.name
    return entry.worker if isinstance(entry.worker, str) else resolver.name_of(entry.worker)


def _worker_of(name: str, entry: Entry) -> AnyWorker:
    worker: AnyWorker | str | None = entry.worker
    if worker is None:
        raise CronError(f"the periodic entry {name!r} needs a worker: write worker=Nightly")
    if not isinstance(worker, str):
        return worker
    try:
        return resolver.resolve(worker, job_id=0)
    except AntqError as error:
        raise CronError(
            f"the periodic entry {name!r} names the worker {worker!r}, which cannot be imported"
            f" here: {error.__cause__ or 'there is none'}"
        ) from error


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Let what is wrong with the jobs of an entry name the entry."""
    try:
        yield
    except (TypeError, ValueError) as error:
        said = f"the periodic entry {name!r}"
        is_other = isinstance(error, AntqError) and not isinstance(error, ConfigError)
        if is_other or said in str(error):
            raise
        kind = WrongEntry if isinstance(error, TypeError) else ConfigError
        raise kind(f"{said}: {error}") from error


def _twice(name: str) -> ConfigError:
    return ConfigError(
        f"two periodic entries have the name {name!r}, which by default is that of the worker; give"
        " each a name of its own: name='…'"
    )
