"""What `status()` says is due, with the queue's actor and without, and the page's advice on it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import apps
from support.apps import Plain

from antq_actors import AntQ, Fail, Status, Worker

PRODUCTION = Path(__file__).parent.parent / "docs" / "production.md"


class Flaky(Worker, max_attempts=2):
    def perform(self, job):
        return Fail("no")

    def calculate_delay(self, job):
        return 2.0


@pytest.fixture(params=["with queues", "without queues"])
def backlog(request, tmp_path):
    """A paused application with 50 due retries, none of them enqueued."""
    app = AntQ(tmp_path / "jobs", queues={"default": 50})
    with app:
        app.enqueue_many(Flaky, [{}] * 50)
        # Paused when all have failed once and before the first is tried again.
        apps.until(lambda: app.count_jobs(status="enqueued") == 0)
        app.queue("default").pause()
        apps.until(lambda: app.count_jobs(status="running") == 0)
    with app.start(queues=request.param == "with queues"):
        yield app


def test_due_retries_are_counted_though_none_is_enqueued(backlog):
    retrying = backlog.list_jobs(status="retrying")
    last = max((job.scheduled_at for job in retrying), default=datetime.now(UTC))
    apps.until(lambda: datetime.now(UTC) > last)

    status = backlog.queue("default").status()

    assert status.counts[Status.ENQUEUED] == 0
    assert len(retrying) > 0
    assert status.due == len(retrying)
    assert status.oldest_due == min(job.scheduled_at for job in retrying)
    assert status.oldest_due.utcoffset() == timedelta(0)


def test_nothing_is_due_where_all_is_scheduled_for_later(app):
    Plain.perform_async(schedule_in=3600)

    status = app.queue("default").status()

    assert (status.due, status.oldest_due) == (0, None)


def test_the_pages_advice_names_the_queue_that_lags_behind(tmp_path):
    text = PRODUCTION.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (block,) = [each for each in blocks if "def late_queues" in each]
    page = {}
    exec(block.partition("\n\n\napp = ")[0], page)  # noqa: S102 - our own page
    with AntQ(tmp_path / "jobs", start_queues=False) as app:
        job = app.enqueue(Plain, queue="mail")
        app.enqueue(Plain, queue="later", schedule_in=3600)
        app.queue("mail").pause()

        late = page["late_queues"](app, timedelta(0))

        assert late == [f"mail (paused): 1 jobs due, the first since {job.scheduled_at}"]
        assert page["late_queues"](app) == []
