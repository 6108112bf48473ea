"""One promotion campaign: every lead in a file becomes one job, and every job ends.

A campaign on a durable path can be killed at any moment and run again. Jobs are stored in the
order of the file, batch by batch, each batch completely or not at all. Every job has the number of
its line, so the newest job tells where to continue. The library itself runs interrupted jobs
again.

With a summary the jobs are members of one batch. The batch is closed when the whole file is read,
and its callback writes the summary.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from antq_actors import AntQ, AntqError, Fail, Job, Status, Worker
from antq_actors.demo.leads import BadLine, Lead, read_leads
from antq_actors.demo.measure import Stopwatch
from antq_actors.demo.summary import WriteSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from antq_actors import Batch

QUEUE: Final = "default"
BATCH_LEADS: Final = 5_000
"""Leads that are stored at a time; only this many ids are in memory."""
BATCH_NAME: Final = "promotion"
POLL_SECONDS: Final = 0.1
"""Time between two reads of the counts."""


class OtherLeads(AntqError):
    """The path has other leads: of another file, or to be summarized and these are not."""


class Progress(NamedTuple):
    """The progress of a campaign."""

    counts: Mapping[Status, int]
    """All jobs of its queue by status, including those of earlier runs."""
    enqueued: int
    """Leads for which this run has stored jobs."""
    read_all: bool
    """Whether the whole file has been read."""

    @property
    def jobs(self) -> int:
        """Return the number of jobs in the campaign."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """Return how many of the campaign's jobs have ended."""
        return sum(self.counts.get(status, 0) for status in ENDED)

    @property
    def done(self) -> bool:
        """Return whether the campaign's file is read and all its jobs have ended."""
        return self.read_all and self.ended == self.jobs


ENDED: Final = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


class Campaign:
    """Enqueues the leads of *file* on a started *app* and follows them to their end.

    *summary*: the file that a job writes when all of them have ended.
    """

    def __init__(
        self,
        app: AntQ,
        file: Path,
        on_bad_line: Callable[[BadLine], None],
        summary: Path | None = None,
    ) -> None:
        WriteSummary.app = app
        self._app = app
        self._summary = summary
        self._file = file
        self._on_bad_line = on_bad_line
        self._stopped = Event()
        self._enqueued = 0

    def run(self, show: Callable[[Progress], None]) -> Progress:
        """Enqueue the campaign's leads in a thread and wait until all jobs have ended.

        *show* gets the progress about ten times a second. Raises OtherLeads when the path has the
        jobs of another file, and any error that stops the application.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="read-leads") as reader:
            reading = reader.submit(self.enqueue)
            try:
                return self._follow(reading, show)
            finally:
                self._stopped.set()

    def enqueue(self) -> None:
        """Store a job for every lead that has none yet, in the order of the file.

        Raises OtherLeads when the path has the jobs of another file.
        """
        leads = read_leads(self._file, self._on_bad_line)
        newest = newest_job(self._app)
        batch = self._batch(newest)
        if newest:
            self._skip_stored(leads, newest)
        jobs = self._args_of(leads)
        if batch is None:
            self._store(self._app, jobs)
        elif not batch.status().closed:
            self._store(batch, jobs)
            if not self._stopped.is_set():
                batch.close()

    def summary(self) -> Job:
        """Wait for the job that writes the summary, and return it.

        Raises JobFailed when it could not write it.
        """
        batch = campaign_batch(self._app)
        assert batch is not None  # noqa: S101 - a campaign with a summary has made it
        batch.wait()
        (job,) = self._app.list_jobs(worker=WriteSummary, newest_first=True, limit=1)
        job.result()
        return self._app.get_job(job.id)

    def _store(self, where: AntQ | Batch, jobs: Iterator[dict[str, Any]]) -> None:
        while ids := where.enqueue_many(SendPromotion, islice(jobs, BATCH_LEADS)):
            self._enqueued += len(ids)

    def _batch(self, newest: Job | None) -> Batch | None:
        """Return the batch of the leads, if there is to be a summary; make it in the first run."""
        batch = campaign_batch(self._app)
        if batch is not None and self._summary is None:
            raise OtherLeads(
                f"the leads in {self._app.path} were stored with --summary; give it again, or"
                f" another --path"
            )
        if batch is None and self._summary is not None:
            if newest:
                raise OtherLeads(
                    f"the leads in {self._app.path} were stored without --summary; leave it out,"
                    f" or give another --path"
                )
            report = WriteSummary.build({"file": str(self._summary), "queue": QUEUE})
            batch = self._app.batch(BATCH_NAME, on_complete=report)
        return batch

    def _follow(self, reading: Future[None], show: Callable[[Progress], None]) -> Progress:
        while True:
            # In this order: a count taken after the last lead was stored has all leads.
            read_all = reading.done()
            if read_all:
                reading.result()
            progress = Progress(self._app.queue(QUEUE).status().counts, self._enqueued, read_all)
            show(progress)
            if progress.done:
                return progress
            self._stopped.wait(POLL_SECONDS)

    def _skip_stored(self, leads: Iterator[Lead], newest: Job) -> None:
        line, email = newest.args.get("line", 0), newest.args.get("email", "")
        found = next((lead for lead in leads if lead.line >= line), None)
        if found != Lead(line, email):
            raise OtherLeads(
                f"job {newest.id} in {self._app.path} was made from line {line}, {email}, which"
                f" is not in {self._file}; give the file of the first run, or another --path"
            )

    def _args_of(self, leads: Iterator[Lead]) -> Iterator[dict[str, Any]]:
        for lead in leads:
            if self._stopped.is_set():
                return
            yield {"email": lead.email, "line": lead.line}


def campaign_batch(app: AntQ) -> Batch | None:
    """Return the batch of the leads, or None if they are of none."""
    return next((batch for batch in app.batches() if batch.name == BATCH_NAME), None)


def newest_job(app: AntQ) -> Job | None:
    """Return the promotion job that was stored last, or None."""
    return next(iter(app.list_jobs(worker=SendPromotion, newest_first=True, limit=1)), None)


def job_completed_after_a_retry(app: AntQ) -> Job | None:
    """Return a promotion that failed at first and then completed, reading the store by pages."""
    after = 0
    while page := app.list_jobs(status=Status.COMPLETED, after=after, limit=200):
        for job in page:
            if job.errors:
                return job
        after = page[-1].id
    return None


def failed_job(app: AntQ) -> Job | None:
    """Return one promotion job that failed for good, or None."""
    return next(iter(app.list_jobs(status=Status.FAILED, limit=1)), None)


CREATE_SECONDS: Final = 0.1
SEND_SECONDS: Final = 0.1


class SendPromotion(Worker, max_attempts=3):
    """Creates the lead ``args["email"]`` and mails it. ``args["line"]`` is its line."""

    seed: ClassVar[int] = 1
    retry_delay: ClassVar[float] = 1.0
    """Seconds between two attempts."""
    stopwatch: ClassVar[Stopwatch] = Stopwatch()
    """Measures all attempts in this process."""

    def perform(self, job: Job) -> Fail | None:
        """Perform a demo job: create the lead, then send the promotion."""
        with self.stopwatch.attempt(job.attempts):
            email = job.args["email"]
            if not create_lead(email):
                return Fail("Invalid email")

            send_promotion(email, luck=random.Random(f"{self.seed} {email} {job.attempts}"))
            return None

    def calculate_delay(self, job: Job) -> float:  # noqa: ARG002 - the same for every job
        """Return the demo's delay before a retry, from the command line."""
        return self.retry_delay


def create_lead(email: str) -> bool:
    """Emulate the creation of a lead by a sleep; return False if its address is refused."""
    if "smith" in email and "yahoo" in email:
        return False
    time.sleep(CREATE_SECONDS)
    return True


def send_promotion(email: str, luck: random.Random) -> None:
    """Emulate a mail to the lead by a sleep; one in ten raises before anything is sent."""
    if luck.randint(1, 10) == 1:
        raise MailError(f"Failed to send email to {email}")
    time.sleep(SEND_SECONDS)


class MailError(Exception):
    """The mail server failed."""
