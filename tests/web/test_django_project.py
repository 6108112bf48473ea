"""The Django projects: that of docs/web.md, whose jobs use its models, and that of tasks."""

import httpx2
import pytest
from shop_servers import GUNICORN_KIOSK, START_KIOSK, stop
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


@pytest.mark.parametrize(
    "server",
    [["manage", "runserver", "127.0.0.1:{port}"], [*GUNICORN_KIOSK, "--preload"]],
    ids=["runserver", "gunicorn"],
)
def test_a_task_that_a_view_enqueues_is_performed_by_the_management_command(shop, server):
    worker = shop.run_jobs(START_KIOSK)
    web = shop.serve(server)

    accepted = shop.request_receipt(17)

    assert (accepted.status_code, accepted.json()) == (202, {"id": "1", "status": "READY"})
    written = {"id": "1", "status": "SUCCESSFUL", "file": "receipts/17.txt"}
    until(lambda: show_receipt(shop, "1").json() == written, "the receipt")
    assert shop.receipt(17) == "To jane@example.com: thank you for order 17.\n"
    assert show_receipt(shop, "2").status_code == 404
    listed = shop.start("manage", "antq", "list")
    assert listed.wait(60) == 0
    assert "kiosk.tasks.write_receipt" in listed.log.read_text()
    assert stop(worker) == 0, worker.log.read_text()
    stop(web)
    assert "Traceback" not in web.log.read_text()


def show_receipt(shop, id_):
    return httpx2.get(f"{shop.url}/receipts/{id_}", timeout=30)


def place_order(shop):
    answer = httpx2.post(f"{shop.url}/orders", params={"email": "jane@example.com"}, timeout=30)
    assert answer.status_code == 202
    return answer.json()["order"]


def show_order(shop, order):
    return httpx2.get(f"{shop.url}/orders/{order}", timeout=30).json()
