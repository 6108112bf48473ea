"""The work for each lead: create it, then send it the promotion.

As in Ant's introduction, time.sleep replaces the work, some addresses are refused, and the mailer
fails one time in ten. Whether it fails depends only on the seed, the address and the attempt, so a
run can be repeated exactly.
"""

from __future__ import annotations

import random
import time
from typing import ClassVar, Final

from antq_actors import Fail, Job, Worker
from antq_actors.demo.measure import Stopwatch

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
        """Create the lead, then send the promotion."""
        with self.stopwatch.attempt(job.attempts):
            email = job.args["email"]
            if not create_lead(email):
                return Fail("Invalid email")

            send_promotion(email, luck=random.Random(f"{self.seed} {email} {job.attempts}"))
            return None

    def calculate_delay(self, job: Job) -> float:  # noqa: ARG002 - the same for every job
        """Return the delay from the command line."""
        return self.retry_delay


def create_lead(email: str) -> bool:
    """Emulate the creation of a lead; return False if its address is refused."""
    if "smith" in email and "yahoo" in email:
        return False
    time.sleep(CREATE_SECONDS)
    return True


def send_promotion(email: str, luck: random.Random) -> None:
    """Emulate the mail; one in ten raises before anything is sent."""
    if luck.randint(1, 10) == 1:
        raise MailError(f"Failed to send email to {email}")
    time.sleep(SEND_SECONDS)


class MailError(Exception):
    """The mail server failed."""
