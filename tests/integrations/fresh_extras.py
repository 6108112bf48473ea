# ruff: noqa: T201 - a program that prints how it went
"""Each extra, installed from the wheel into an environment of its own, as users install it.

    make extras EXTRAS="django otel" PYTHONS="python3.12 python3.13"

In an environment without any extra, ``import antq_actors`` imports none of their libraries, and
what needs one says in one line what to install. In one with the extra alone, its first example
runs. Exits with 1 when anything else happens; it needs a package index.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

ROOT = Path(__file__).parent.parent.parent
WEB = ROOT / "examples" / "web"
TIMEOUT_SECONDS = 600
LIBRARIES = (
    *("cryptography", "django", "django_tasks", "flask", "litestar", "opentelemetry"),
    *("prometheus_client", "quart", "sentry_sdk", "watchfiles", "fastapi", "pytest"),
    *("a2wsgi", "jinja2", "starlette", "textual", "uvicorn"),
)
MODULES = {
    "django": "integrations.django",
    "flask": "integrations.flask",
    "litestar": "integrations.litestar",
    "otel": "telemetry.otel",
    "prometheus": "telemetry.prometheus",
    "quart": "integrations.quart",
    "sentry": "telemetry.sentry",
    "web": "web",
}
"""What cannot be imported without its extra."""

WITHOUT = f"""
import importlib, sys
import antq_actors
with antq_actors.AntQ(queues={{"default": 1}}):
    pass
found = [name for name in {LIBRARIES} if name in sys.modules]
assert not found, f"import antq_actors imports {{found}}"
for extra, module in {MODULES}.items():
    try:
        importlib.import_module(f"antq_actors.{{module}}")
    except ImportError as error:
        said = str(error)
        assert said.endswith(f"pip install 'antq-actors[{{extra}}]'"), said
        assert "\\n" not in said and error.__cause__ is None, said
    else:
        raise AssertionError(f"{{module}} can be imported without {{extra}}")
import os, pathlib
key = pathlib.Path("key")
os.close(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600))
key.write_text("k" * 32)
try:
    antq_actors.AntQ("jobs", encryption_key_file=key).start()
except antq_actors.ConfigError as error:
    assert "antq-actors[encryption]" in str(error), error
else:
    raise AssertionError("an application with a key starts without cryptography")
import subprocess
command = [sys.executable, "-m", "antq_actors", "start", "--reload", "shop.jobs:app"]
done = subprocess.run(command, capture_output=True, text=True)
assert done.returncode == 1 and "pip install 'antq-actors[reload]'" in done.stderr, done.stderr
"""
SENTRY = """
from antq_actors import AntQ, worker
@worker(max_attempts=1)
def fail():
    raise ValueError("of the job")
with AntQ(queues={"default": 1}) as app:
    fail.perform_async()
    app.wait_idle()
    assert app.count_jobs(status="failed") == 1
"""
ASKED = """
answer = client.post("/orders/7/receipt?email=jane%40example.com")
if asyncio.iscoroutine(answer):
    answer = asyncio.run(answer)
assert answer.status_code == 202, answer
"""
SITES = {
    "flask": "from shop.with_flask import web; client = web.test_client()",
    "quart": "from shop.with_quart import web; client = web.test_client()",
    "litestar": (
        "from litestar.testing import TestClient; from shop.with_litestar import web;"
        " client = TestClient(web).__enter__()"
    ),
    "django": (
        "import django, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'kiosk.settings';"
        "django.setup(); from django.test import Client; client = Client(HTTP_HOST='localhost')"
    ),
}
"""What makes a client of a site of examples/web."""
STARTS = {
    "flask": ["-m", "flask", "--app", "shop.with_flask:web", "antq", "start"],
    "quart": ["-m", "quart", "--app", "shop.with_quart:web", "antq", "start"],
    "litestar": ["-m", "litestar", "--app", "shop.with_litestar:web", "antq", "start"],
    "django": ["manage.py", "antq", "start"],
}
"""What runs the jobs of a site."""


class Environment:
    """A virtual environment with the wheel in it, and a folder in which its programs run."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder / "folder"
        shutil.copytree(WEB, self.folder)
        self._python = folder / "environment" / "bin" / "python"
        subprocess.run([base, "-m", "venv", folder / "environment"], check=True)  # noqa: S603

    def install(self, requirement: str) -> None:
        """Install a package and what it needs, and nothing else."""
        self.run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement)

    def run(self, *arguments: str) -> str:
        """Run a program, and return what it has printed. Raises AssertionError if it fails."""
        done = subprocess.run(  # noqa: S603 - programs of this file
            [self._python, *arguments],
            cwd=self.folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def started(self, *arguments: str) -> Iterator[None]:
        """Start a program, and stop it by SIGTERM afterwards. Raises AssertionError if it fails."""
        log = self.folder / "log"
        with log.open("w") as output:
            program = subprocess.Popen(  # noqa: S603 - as above
                [self._python, *arguments],
                cwd=self.folder,
                env=_environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield
            program.send_signal(signal.SIGTERM)
            assert program.wait(60) == 0, log.read_text()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text()}") from None
        finally:
            program.kill()
            program.wait()


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME")
    }


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--extras", nargs="+", choices=["none", *RUNS], default=["none", *RUNS])
    parser.add_argument("--pythons", nargs="+", default=[sys.executable])
    options = parser.parse_args(arguments)
    failures = []
    with tempfile.TemporaryDirectory(prefix="antq-extras-") as folder:
        wheel = _wheel(Path(folder))
        for python in options.pythons:
            for extra in options.extras:
                began = time.monotonic()
                try:
                    said = _try(Path(tempfile.mkdtemp(dir=folder)), python, wheel, extra)
                except (AssertionError, subprocess.SubprocessError) as error:
                    failures.append(f"{extra} with {python}: {error}")
                    said = "failed"
                print(f"{extra:<12} {python:<28} {time.monotonic() - began:4.0f} s  {said}")
    for failure in failures:
        print(f"- {failure}")
    return 1 if failures else 0


def _wheel(folder: Path) -> Path:
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", ROOT, *options], check=True)  # noqa: S603
    (wheel,) = folder.glob("*.whl")
    return wheel


def _try(folder: Path, python: str, wheel: Path, extra: str) -> str:
    """Return what was installed and has run. Raises AssertionError for what has not."""
    environment = Environment(folder, python)
    environment.install(str(wheel) if extra == "none" else f"{wheel}[{extra}]")
    if extra == "none":
        environment.run("-W", "error", "-c", WITHOUT)
        return "nothing of an extra is imported; each says what to install"
    RUNS[extra](environment, extra)
    shutil.rmtree(folder)
    return "its first example runs"


def _page(environment: Environment, extra: str) -> None:
    """Run the first example of a page, or of a section, and compare what it prints."""
    page, head = PAGES[extra]
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(
        r"^```python\n(.*?)^```$", text[text.index(head) :], re.MULTILINE | re.DOTALL
    )
    program, _, promised = blocks[0].partition("\n# Output:\n")
    (environment.folder / "example.py").write_text(program + (SENTRY if extra == "sentry" else ""))
    printed = environment.run("-W", "error", "example.py")
    expected = "".join(f"{line.removeprefix('# ')}\n" for line in promised.splitlines())
    assert not promised or printed == expected, printed


def _site(environment: Environment, extra: str) -> None:
    """Ask a site of examples/web for a receipt, and run its jobs by its own command."""
    environment.run("-c", f"import asyncio\n{SITES[extra]}\n{ASKED}")
    with environment.started(*STARTS[extra]):
        _until((environment.folder / "receipts" / "7.txt").exists)


def _reload(environment: Environment, extra: str) -> None:
    """Change a file below ``antq start --reload``, which starts anew."""
    module, started = environment.folder / "reloaded.py", environment.folder / "started"
    text = (
        "import pathlib\nfrom antq_actors import AntQ\napp = AntQ('own', queues={'default': 1})\n"
    )
    note = "pathlib.Path('started').write_text('{}')\n"
    module.write_text(text + note.format("first"))
    with environment.started("-m", "antq_actors", "start", "--reload", "reloaded:app"):
        _until(lambda: started.exists() and started.read_text() == "first")
        _until((environment.folder / "own").exists)
        module.write_text(text + note.format("second"))
        _until(lambda: started.read_text() == "second")


def _web(environment: Environment, extra: str) -> None:
    """Open the dashboard of ``antq web`` at the address that it prints."""
    environment.run("-c", "from antq_actors import AntQ\nAntQ('own').start().stop()")
    log = environment.folder / "log"
    with environment.started("-m", "antq_actors", "web", "--path", "own", "--port", "0"):
        _until(lambda: "http://" in log.read_text())
        (url,) = re.findall(r"http://\S+", log.read_text())
        with build_opener(HTTPCookieProcessor()).open(url, timeout=60) as page:
            assert b"<title>Overview" in page.read()


def _until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.05)


PAGES = {
    "prometheus": ("metrics.md", "# Metrics"),
    "otel": ("tracing.md", "## OpenTelemetry"),
    "sentry": ("tracing.md", "## Sentry"),
    "encryption": ("security.md", "## Encryption"),
}
RUNS = {
    **dict.fromkeys(PAGES, _page),
    **dict.fromkeys(SITES, _site),
    "reload": _reload,
    "web": _web,
}

if __name__ == "__main__":
    sys.exit(main())
