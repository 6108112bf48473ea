"""The wheel that users install has what it needs: here it is built, installed and used."""

import email
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent


def run(*command, cwd):
    """Run a command that has to succeed, and return what it printed."""
    # Not where pytest runs finds modules: there antq_actors is the one of these sources.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from these sources without a download."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder]
    run(*pip, "wheel", *options, ROOT, cwd=folder)
    (built,) = folder.glob("antq_actors-*.whl")
    return built


@pytest.fixture(scope="module")
def antq(wheel, tmp_path_factory):
    """Runs the command of the wheel, installed into an environment of its own."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "venv", with_pip=False)
    python = home / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=home)
    # The libraries are those of this environment; antq_actors is found before it gets there.
    (packages,) = (home / "venv" / "lib").glob("python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    place = run(python, "-c", "import antq_actors; print(antq_actors.__file__)", cwd=home)
    assert Path(place.strip()).is_relative_to(packages)

    def antq(*arguments):
        return run(python.with_name("antq"), *arguments, cwd=home)

    return antq


def test_the_wheel_has_every_program_of_the_course_and_nothing_else_of_examples(wheel):
    prefix = "antq_actors/examples/otp/"
    packed = {name for name in ZipFile(wheel).namelist() if "examples/" in name}

    programs = (ROOT / "examples" / "otp").rglob("*.py")
    assert packed == {
        prefix + each.relative_to(ROOT / "examples" / "otp").as_posix() for each in programs
    }


def test_the_installed_command_lists_the_course(antq):
    assert "   3  three strategies\n" in antq("course")


def test_the_installed_command_shows_and_runs_a_program(antq):
    out = antq("course", "3")

    assert "for strategy in Strategy:" in out
    assert out.endswith("REST_FOR_ONE restarts ['index', 'search']\n")


def test_the_installed_command_checks_an_exercise(antq):
    shown = antq("course", "crawler", "--answer")
    assert "broken failed\n" in shown

    antq("course", "chat_server", "--copy")
    assert "7. A guest that crashes is gone" in antq("course", "chat_server")


GRAFANA = "antq_actors/telemetry/grafana.json"


def test_what_is_installed_is_typed_has_its_dashboard_and_has_its_version(antq, wheel):
    assert {"antq_actors/py.typed", GRAFANA} <= set(ZipFile(wheel).namelist())
    assert antq("--version") == f"antq {wheel.name.split('-')[1]}\n"


VENDORED = ("dagre-3.1.3", "htmx.org-4.0.1", "lucide-static-1.62.0", "uplot-1.6.32")


def test_the_wheel_tells_what_it_has_of_others_and_under_which_licences(wheel):
    packed = ZipFile(wheel)
    (told,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
    folder = told.removesuffix("METADATA")
    metadata = email.message_from_bytes(packed.read(told))

    assert metadata["License-Expression"] == "MIT AND 0BSD AND ISC"
    licences = metadata.get_all("License-File")
    static = "antq_actors/web/static/vendor"
    assert licences == ["LICENSE", *(f"{static}/{each}/LICENSE" for each in VENDORED)]
    assert {f"{folder}licenses/{each}" for each in licences} <= set(packed.namelist())
    sbom = packed.read(f"{folder}sboms/vendored.cdx.json")
    assert sbom == (ROOT / "antq_actors" / "web" / "vendored.cdx.json").read_bytes()


MOST_BYTES = 400_000


def test_what_is_shown_in_browsers_adds_little_to_the_wheel(wheel):
    shown = ("antq_actors/web/", "antq_actors/top/", "antq_actors/insights/")

    packed = [each for each in ZipFile(wheel).infolist() if each.filename.startswith(shown)]
    assert sum(each.compress_size for each in packed) <= MOST_BYTES
