"""The web servers of examples/web, started for real, and asked over HTTP."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx2
from support.apps import until

SHOP = Path(__file__).parent.parent.parent / "examples" / "web"

ADDRESS = "127.0.0.1:{port}"
UVICORN = ["uvicorn", "shop.with_fastapi:web", "--port", "{port}"]
UVICORN_LITESTAR = ["uvicorn", "shop.with_litestar:web", "--port", "{port}"]
HYPERCORN = ["hypercorn", "shop.with_quart:web", "--bind", ADDRESS]
QUART = ["quart", "--app", "shop.with_quart:web", "run", "--port", "{port}"]
FLASK = ["flask", "--app", "shop.with_flask:web", "run", "--port", "{port}"]
DJANGO = ["shop.with_django", "runserver", ADDRESS]
GUNICORN = ["gunicorn", "--bind", ADDRESS, "--workers", "2", "--no-control-socket"]
GUNICORN_FLASK = [*GUNICORN, "shop.with_flask:web"]
GUNICORN_DJANGO = [*GUNICORN, "shop.with_django:web"]
GUNICORN_KIOSK = [*GUNICORN, "kiosk.wsgi"]
CONFIG = ["--config", "gunicorn.conf.py"]

START = ["antq_actors", "start", "shop.jobs:app"]
START_FLASK = ["flask", "--app", "shop.with_flask:web", "antq", "start"]
START_QUART = ["quart", "--app", "shop.with_quart:web", "antq", "start"]
START_KIOSK = ["manage", "antq", "start"]
START_LITESTAR = ["litestar", "--app", "shop.with_litestar:web", "antq", "start"]

SERVERS = {
    "uvicorn with workers": ([*UVICORN, "--workers", "2"], START),
    "uvicorn with Litestar": (UVICORN_LITESTAR, START_LITESTAR),
    "hypercorn with Quart and workers": ([*HYPERCORN, "--workers", "2"], START_QUART),
    "quart": (QUART, [*START, "--app", "shop.with_quart:web"]),
    "flask with its debugger and reloader": ([*FLASK, "--debug"], START_FLASK),
    "runserver": (DJANGO, START),
    "gunicorn with Flask": (GUNICORN_FLASK, [*START, "--app", "shop.with_flask:web"]),
    "gunicorn with FastAPI and preload": (
        [*GUNICORN, "shop.with_fastapi:web", "--worker-class", "asgi", "--preload"],
        [*START, "--app", "shop.with_fastapi:web"],
    ),
    "gunicorn with Flask, its hook and preload": (
        [*GUNICORN_FLASK, *CONFIG, "--preload"],
        START_FLASK,
    ),
    "gunicorn with Django": (GUNICORN_DJANGO, START),
    "gunicorn with Django and preload": ([*GUNICORN_DJANGO, "--preload"], START),
}


http: Final = httpx2.Client(timeout=30, limits=httpx2.Limits(max_keepalive_connections=0))
"""What asks the servers: a client for each request would read the certificates of the system."""


def until_served(condition, what):
    """Wait for what a server says; to ask more often would slow down what it waits for."""
    return until(condition, what, every=0.05)


class Shop:
    """A copy of examples/web in a folder, with the programs that were started there."""

    def __init__(self, folder):
        self.folder = folder
        self.within = ()
        """The command that starts the programs, such as one that puts them into a container."""
        self.programs = []
        self.url = None
        shutil.copytree(SHOP, folder, dirs_exist_ok=True)

    def start(self, name, *arguments):
        """Start a program of the environment, in a process group of its own."""
        log = (self.folder / f"{name}-{len(self.programs)}.log").open("w")
        program = subprocess.Popen(  # noqa: S603 - servers and the command under test
            [*self.within, sys.executable, "-m", name, *arguments],
            cwd=self.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        program.log = Path(log.name)
        log.close()
        self.programs.append(program)
        return program

    def serve(self, command):
        """Start a web server and return it when it answers."""
        if "gunicorn.conf.py" not in command:  # gunicorn would read it without being told
            (self.folder / "gunicorn.conf.py").unlink(missing_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        name, *arguments = (word.format(port=port) for word in command)
        server = self.start(name, *arguments)
        until_served(lambda: self._answers(server), f"the first answer of {name}")
        return server

    def run_jobs(self, command=START):
        """Start a program that runs the jobs; it is a second one beside the server."""
        return self.start(*command)

    def request_receipt(self, order, email="jane@example.com"):
        url = f"{self.url}/orders/{order}/receipt"
        return http.post(url, params={"email": email})

    def show_job(self, job_id):
        return http.get(f"{self.url}/jobs/{job_id}")

    def completed(self, job_id):
        """Return what the server says of a job once it has completed."""
        return until_served(
            lambda: job if (job := self.show_job(job_id).json())["status"] == "completed" else None,
            f"job {job_id} completed",
        )

    def receipt(self, order):
        return (self.folder / "receipts" / f"{order}.txt").read_text()

    def _answers(self, server):
        assert server.poll() is None, server.log.read_text()
        try:
            return http.get(f"{self.url}/jobs/0")
        except httpx2.TransportError:
            return None


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def stop(program):
    """Stop a program as its service manager does, and return its exit code."""
    program.terminate()
    return program.wait(30)


def kill(program):
    """Kill a program and all its processes, as a crash of a container does."""
    os.killpg(program.pid, signal.SIGKILL)
    program.wait(30)
