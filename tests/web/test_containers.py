"""The files of docs/production.md for containers, and their programs in PID namespaces for real."""

import os
import re
import shutil
import signal
import subprocess
import sys

import psutil
import pytest
import yaml
from shop_servers import SHOP, UVICORN
from support.apps import until
from support.namespaces import UNSHARE, entering, first_process, needs_namespaces

ROOT = SHOP.parent.parent
SHOWN = re.compile(r"^```\w+\n# (examples/web/\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(SHOWN.findall((ROOT / "docs" / "production.md").read_text(encoding="utf-8")))
COMPOSE = yaml.safe_load((SHOP / "compose.yaml").read_text(encoding="utf-8"))
CLAIM, DEPLOYMENT = yaml.safe_load_all((SHOP / "kubernetes.yaml").read_text(encoding="utf-8"))
POD = DEPLOYMENT["spec"]["template"]["spec"]
CONTAINERS = {container["name"]: container for container in POD["containers"]}
IMAGE = dict(
    line.split(maxsplit=1)
    for line in (SHOP / "Dockerfile").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("RUN")
)


# ---- the files ------------------------------------------------------------------------------


def test_the_page_shows_the_files_as_they_are():
    assert set(FILES) == {
        f"examples/web/{n}" for n in ("Dockerfile", "compose.yaml", "kubernetes.yaml")
    }
    assert {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES} == FILES


def test_all_containers_of_compose_share_a_namespace_that_outlives_them():
    services = COMPOSE["services"]

    for name in ("web", "worker"):
        assert services[name]["pid"] == "service:pids"
        assert services[name]["depends_on"] == ["pids"]
        assert services[name]["volumes"] == ["data:/srv/data"]
    assert set(services["pids"]) == {"image", "restart"}
    assert set(COMPOSE["volumes"]) == {"data"}


def test_all_containers_of_the_pod_share_a_namespace_and_a_volume():
    assert POD["shareProcessNamespace"] is True
    assert DEPLOYMENT["spec"]["replicas"] == 1
    assert DEPLOYMENT["spec"]["strategy"] == {"type": "Recreate"}
    assert POD["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    for container in CONTAINERS.values():
        assert container["volumeMounts"] == [{"name": "data", "mountPath": "/srv/data"}]
    (volume,) = POD["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]


def test_a_container_has_longer_to_stop_than_a_stop_takes():
    assert COMPOSE["services"]["worker"]["stop_grace_period"] == "60s"
    assert POD["terminationGracePeriodSeconds"] == 60


def test_compose_kubernetes_and_the_image_run_the_same_commands():
    for name in ("web", "worker"):
        assert COMPOSE["services"][name]["command"] == CONTAINERS[name]["command"]
    assert yaml.safe_load(IMAGE["CMD"]) == CONTAINERS["worker"]["command"]
    assert IMAGE["WORKDIR"] == "/srv/data"
    assert "ANTQ_PATH=/srv/data/jobs" in IMAGE["ENV"]


def _has_compose():
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)  # noqa: S607 - wherever it is
    return done.returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="no docker compose")
def test_docker_reads_the_compose_file():
    command = ["docker", "compose", "-f", SHOP / "compose.yaml", "config", "--quiet"]
    subprocess.run(command, check=True)  # noqa: S603 - the system's own command


# ---- their programs -------------------------------------------------------------------------


@pytest.fixture
def pod(shop):
    """A shop whose programs share a PID namespace, with a first process that does nothing."""
    pause = subprocess.Popen([*UNSHARE, "sleep", "infinity"])  # noqa: S603 - the system's own
    shop.within = entering(pause.pid, shop.folder)
    yield shop
    pause.kill()
    pause.wait()


@needs_namespaces
def test_web_and_worker_in_two_namespaces_are_refused_with_the_remedy(shop):
    shop.within = UNSHARE
    shop.serve(UVICORN)

    worker = shop.run_jobs()

    assert worker.wait(60) == 1
    said = worker.log.read_text()
    assert 'pid: "service:web"' in said
    assert "shareProcessNamespace: true" in said
    assert "Traceback" not in said
    assert shop.request_receipt(1).status_code == 202


@needs_namespaces
def test_the_commands_of_web_and_worker_share_the_work_in_one_namespace(pod):
    name, *arguments = CONTAINERS["web"]["command"]
    pod.serve([name, arguments[0], "--port", "{port}"])
    command, *arguments = CONTAINERS["worker"]["command"]
    assert command == "antq"

    worker = pod.start("antq_actors", *arguments)

    job = pod.completed(pod.request_receipt(17).json()["id"])
    assert job["attempts"] == 1
    looks = pod.start("antq_actors", "count", "--path", "jobs")
    assert looks.wait(60) == 0
    assert looks.log.read_text().split()[0] == "1"
    for process in psutil.Process(worker.pid).children():
        process.terminate()
    until(lambda: worker.poll() is not None, "the end of the worker")


@needs_namespaces
def test_a_worker_that_starts_again_goes_on_beside_the_web_server(pod):
    pod.serve(UVICORN)
    for order in (1, 2):
        worker = pod.run_jobs()
        pod.completed(pod.request_receipt(order).json()["id"])
        for process in psutil.Process(worker.pid).children():
            process.kill()
        worker.wait(60)


# ---- antq start as the first process ----------------------------------------------------------

FIRST = """
import subprocess, sys, time
from antq_actors import AntQ, Worker
{at_import}
class Leaves(Worker, executor="process", name="its_app:Leaves", timeout=1.0, max_attempts=1):
    def perform(self, job):
        code = "import subprocess, sys; subprocess.Popen(['sleep', '60']); sys.stdin.read(0)"
        subprocess.run([sys.executable, "-c", code], check=True)
        time.sleep(60)
app = AntQ("store", queues={{"default": 2}})
if __name__ == "__main__":
    with app:
        jobs = [app.enqueue(Leaves) for _ in range(3)]
        while any(app.get_job(job.id).status in ("enqueued", "running") for job in jobs):
            time.sleep(0.01)
        print([str(app.get_job(job.id).status) for job in jobs], flush=True)
        sys.stdin.read()
"""


def first_in_a_namespace(tmp_path, *command, at_import="pass"):
    (tmp_path / "its_app.py").write_text(FIRST.format(at_import=at_import))
    return subprocess.Popen(  # noqa: S603 - our own command
        [*UNSHARE, sys.executable, *command],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )


@needs_namespaces
@pytest.mark.parametrize("more", [(), ("--processes", "2")])
def test_sigterm_stops_the_first_process_of_a_container(tmp_path, more):
    process = first_in_a_namespace(tmp_path, "-m", "antq_actors", "start", "its_app:app", *more)
    try:
        until((tmp_path / "store" / "nodes").exists, "its node")

        os.kill(first_process(process.pid), signal.SIGTERM)

        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err


@needs_namespaces
def test_sigterm_ends_the_first_process_also_while_it_imports(tmp_path):
    command = ("-m", "antq_actors", "start", "its_app:app")
    begins = "open('begun', 'w').close(); time.sleep(60)"
    process = first_in_a_namespace(tmp_path, *command, at_import=begins)
    try:
        until((tmp_path / "begun").exists, "the import")

        os.kill(first_process(process.pid), signal.SIGTERM)

        assert process.wait(30) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


@needs_namespaces
def test_what_a_job_process_leaves_is_no_zombie_of_the_first_process(tmp_path):
    process = first_in_a_namespace(tmp_path, "its_app.py")
    try:
        assert process.stdout.readline().strip() == str(["failed"] * 3)
        first = psutil.Process(first_process(process.pid))

        left = until(lambda: [] if zombies_of(first) else ["none"], "an end of the zombies")

        assert left
    finally:
        process.kill()
        process.communicate()


def zombies_of(process):
    return [
        child
        for child in process.children(recursive=True)
        if child.status() == psutil.STATUS_ZOMBIE
    ]
