"""The Django project of docs/web.md: its jobs read and write its models."""

import httpx2
import pytest
from support.apps import until

SETTINGS = ["--settings", "bookshop.settings"]
SERVER = ["django", "runserver", "--noreload", "127.0.0.1:{port}", *SETTINGS]


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_jobs_of_a_django_project_work_with_its_models(shop, executor):
    jobs = shop.folder / "orders" / "jobs.py"
    jobs.write_text(jobs.read_text().replace("max_attempts=3", f'executor="{executor}"'))
    assert shop.start("django", "migrate", "--run-syncdb", *SETTINGS).wait(60) == 0
    shop.serve(SERVER)

    order = place_order(shop)

    worker = shop.start("antq_actors", "start", "orders.jobs:app")
    until(lambda: show_order(shop, order)["receipt_sent"], "the receipt")
    assert worker.poll() is None


def test_a_job_of_a_django_project_is_enqueued_from_the_command_line(shop):
    assert shop.start("django", "migrate", "--run-syncdb", *SETTINGS).wait(60) == 0
    worker = shop.start("antq_actors", "start", "orders.jobs:app")
    until(lambda: "path" in worker.log.read_text(), "the line that says that it is up")
    command = ["enqueue", "orders.jobs:send_receipt", "--path", "jobs", "--arg", "order=1"]

    enqueued = shop.start("antq_actors", *command)

    assert enqueued.wait(60) == 0
    assert "Job 1 is enqueued" in enqueued.log.read_text()


def place_order(shop):
    answer = httpx2.post(f"{shop.url}/orders", params={"email": "jane@example.com"}, timeout=30)
    assert answer.status_code == 202
    return answer.json()["order"]


def show_order(shop, order):
    return httpx2.get(f"{shop.url}/orders/{order}", timeout=30).json()
