"""What docs/web.md says of each web server, with the real servers and jobs in a second program."""

import shutil

import httpx2
import pytest
from shop_servers import GUNICORN_DJANGO, GUNICORN_FLASK, SERVERS, UVICORN, kill, stop, until_served
from support.apps import until

ONE_WORKER = ["--workers", "1"]  # the one that has answered, and so has the store open


@pytest.mark.parametrize(("command", "start"), SERVERS.values(), ids=SERVERS)
def test_a_server_enqueues_what_a_second_program_performs(shop, command, start):
    jobs = shop.run_jobs(start)
    server = shop.serve(command)

    accepted = shop.request_receipt(17)

    assert accepted.status_code == 202, server.log.read_text()
    job = shop.completed(accepted.json()["id"])
    assert job == {"id": 1, "status": "completed", "attempts": 1}
    assert shop.receipt(17) == "To jane@example.com: thank you for order 17.\n"
    assert shop.show_job(999).status_code == 404
    assert stop(jobs) == 0, jobs.log.read_text()
    assert server.poll() is None
    stop(server)
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    "command", [UVICORN, [*GUNICORN_FLASK, "--preload"]], ids=["uvicorn", "gunicorn"]
)
def test_an_accepted_job_outlives_a_kill_of_server_and_worker(shop, command):
    server = shop.serve(command)
    accepted = [shop.request_receipt(order).json()["id"] for order in range(30)]
    kill(server)
    jobs = shop.run_jobs()
    until(lambda: list(shop.folder.glob("receipts/*.txt")), "the first receipt")
    kill(jobs)

    shop.serve(command)
    shop.run_jobs()

    for order, job_id in enumerate(accepted):
        shop.completed(job_id)
        assert f"order {order}." in shop.receipt(order)


def test_a_reloaded_server_enqueues_again_with_the_new_code(shop):
    shop.serve([*UVICORN, "--reload"])
    shop.run_jobs()
    shop.completed(shop.request_receipt(1).json()["id"])
    module = shop.folder / "shop" / "with_fastapi.py"

    module.write_text(module.read_text().replace("status_code=202", "status_code=201"))

    accepted = until_served(lambda: reloaded(shop), "the new code")
    shop.completed(accepted.json()["id"])
    assert shop.receipt(2)


def reloaded(shop):
    """Return the answer of the new code; while it is loaded, the server refuses connections."""
    try:
        answer = shop.request_receipt(2)
    except httpx2.TransportError:
        return None
    return answer if answer.status_code == 201 else None


@pytest.mark.parametrize(
    "command",
    [UVICORN, [*GUNICORN_FLASK, *ONE_WORKER], [*GUNICORN_DJANGO, *ONE_WORKER]],
    ids=["FastAPI", "Flask", "Django"],
)
def test_a_job_that_cannot_be_stored_is_a_503(shop, command):
    shop.serve(command)
    shutil.rmtree(shop.folder / "jobs")

    assert shop.request_receipt(1).status_code == 503


def test_an_application_started_before_the_fork_is_refused_in_the_workers(shop):
    module = shop.folder / "shop" / "with_flask.py"
    starts = 'web.extensions["antq"].start(queues=False)'
    module.write_text(f"{module.read_text()}\n\n{starts}\n")

    server = shop.serve([*GUNICORN_FLASK, "--preload"])

    assert shop.request_receipt(1).status_code == 500
    assert "antq_actors.errors.ForkError" in server.log.read_text()


def test_one_server_process_can_run_the_queues_as_well(shop):
    module = shop.folder / "shop" / "with_fastapi.py"
    module.write_text(module.read_text().replace(", queues=False", ""))
    server = shop.serve(UVICORN)

    shop.completed(shop.request_receipt(1).json()["id"])

    assert shop.receipt(1)
    stop(server)
    assert "Traceback" not in server.log.read_text()
