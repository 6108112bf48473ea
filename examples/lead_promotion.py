"""Create a lead and send it a promotion for each line of a file, in a job of its own.

The mailer fails one time in ten, so a job gets three attempts. Some addresses are refused.
"""

import random
import time
from pathlib import Path

from antq_actors import AntQ, Fail, Job, Status, Worker

LEADS = 400


def generate_leads(file: Path) -> None:
    with file.open("w") as lines:
        for number in range(LEADS):
            first_name = random.choice(["john", "jane", "alex", "michael", "david", "lisa"])
            last_name = random.choice(["smith", "williams", "brown", "jones", "garcia"])
            domain = random.choice(["gmail.com", "yahoo.com", "hotmail.com", "example.com"])
            lines.write(f"{first_name}.{last_name}{number}@{domain}\n")


def create_lead(email: str) -> bool:
    if "smith" in email and "yahoo" in email:
        return False
    time.sleep(0.1)
    return True


def send_email(email: str) -> None:
    if random.randint(1, 10) == 1:
        raise ConnectionError(f"Failed to send email to {email}")
    time.sleep(0.1)


class SendPromotion(Worker, max_attempts=3):
    def perform(self, job: Job) -> Fail | None:
        email = job.args["email"]
        if not create_lead(email):
            return Fail("Invalid email")
        send_email(email)
        return None

    def calculate_delay(self, job: Job) -> float:
        return 0.2 * job.attempts


def show(job: Job) -> None:
    print(f"{job.args['email']} {job.status} after {job.attempts} attempts")
    for error in job.errors:
        print(f"  attempt {error.attempt}: {error.error}")


random.seed(1)
with AntQ(queues={"default": 100}) as app:
    file = app.path / "leads.txt"
    generate_leads(file)
    with file.open() as lines:
        app.enqueue_many(SendPromotion, ({"email": line.strip()} for line in lines))

    app.wait_idle()
    for status in (Status.COMPLETED, Status.FAILED):
        print(f"{status}: {app.count_jobs(status=status)}")
    show(next(job for job in app.list_jobs(status="completed") if job.errors))
    show(app.list_jobs(status="failed", limit=1)[0])

# Output:
# completed: 3...
# failed: ...
# ...@... completed after ... attempts
# ...attempt 1: Failed to send email to ...@...
# ....smith...@yahoo.com failed after 3 attempts
#   attempt 3: Invalid email
#   attempt 2: Invalid email
#   attempt 1: Invalid email
