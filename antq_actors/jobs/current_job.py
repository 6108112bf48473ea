"""The job that the code which asks is performing.

Each attempt has a context of its own (see `executors/attempt.py`), so what is set there ends with
it, also when it is cut short, and is inherited by the tasks that it creates.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from antq_actors.jobs.job import Job

_current: Final[ContextVar[Job | None]] = ContextVar("antq_current_job", default=None)


def current_job() -> Job | None:
    """Return the job that this code performs; None where none is performed.

    It is the job that ``perform`` is given, in every executor: in what ``perform`` calls, in the
    asyncio tasks that it creates, in ``asyncio.to_thread``, and wherever else its context is
    copied to. A ``threading.Thread`` starts with an empty context, so there it is None: run its
    target by ``contextvars.copy_context().run``.
    """
    return _current.get()


# Each attempt calls these, so there is no function around them.
get: Final = _current.get
enter: Final = _current.set
"""Let a job be the current one in this context from now on; None: no job is."""


def check_outside_of_jobs(verb: str) -> None:
    """Raise ValueError in a job: *verb*, without a timeout, could wait for that very job."""
    job = current_job()
    if job is not None:
        raise ValueError(
            f"{verb}() needs a timeout in perform: job {job.id} runs, so it would wait for itself,"
            f" or for what waits for it, for ever; write {verb}(timeout=60)"
        )
