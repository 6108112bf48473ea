"""The Django projects: that of docs/web.md, whose jobs use its models, and that of tasks."""

import shutil

import pytest
from shop_servers import GUNICORN_KIOSK, START_KIOSK, Shop, http, stop, until_served

SETTINGS = ["--settings", "bookshop.settings"]
SERVER = ["django", "runserver", "--noreload", "127.0.0.1:{port}", *SETTINGS]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """The database of the bookshop, with its tables."""
    shop = Shop(tmp_path_factory.mktemp("migrated"))
    assert shop.start("django", "migrate", "--run-syncdb", *SETTINGS).wait(60) == 0
    return shop.folder / "bookshop.db"


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_jobs_of_a_django_project_work_with_its_models(shop, migrated, executor):
    shutil.copy(migrated, shop.folder)
    jobs = shop.folder / "orders" / "jobs.py"
    jobs.write_text(jobs.read_text().replace("max_attempts=3", f'executor="{executor}"'))
    shop.serve(SERVER)

    order = place_order(shop)

    worker = shop.start("antq_actors", "start", "orders.jobs:app")
    until_served(lambda: show_order(shop, order)["receipt_sent"], "the receipt")
    assert worker.poll() is None
    command = ["enqueue", "orders.jobs:send_receipt", "--path", "jobs", "--arg", f"order={order}"]
    enqueued = shop.start("antq_actors", *command)
    assert enqueued.wait(60) == 0
    assert "Job 2 is enqueued" in enqueued.log.read_text()


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
    until_served(lambda: show_receipt(shop, "1").json() == written, "the receipt")
    assert shop.receipt(17) == "To jane@example.com: thank you for order 17.\n"
    assert show_receipt(shop, "2").status_code == 404
    assert stop(worker) == 0, worker.log.read_text()
    stop(web)
    assert "Traceback" not in web.log.read_text()


def show_receipt(shop, id_):
    return http.get(f"{shop.url}/receipts/{id_}")


def place_order(shop):
    answer = http.post(f"{shop.url}/orders", params={"email": "jane@example.com"})
    assert answer.status_code == 202
    return answer.json()["order"]


def show_order(shop, order):
    return http.get(f"{shop.url}/orders/{order}").json()
