"""README and docs name no command, option, method, class or file that is not there."""

import re
import shlex
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import typer

import antq_actors
from antq_actors import AntQ, Job, QueueHandle, QueueStatus, otp
from antq_actors.cli.group import antq

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GROUP = typer.main.get_command(antq)
COMMAND = re.compile(r"(?:^|[`$] ?|\(|\bexec )antq ([a-z]+\b[^`#\n|&]*)", re.MULTILINE)
ATTRIBUTE = re.compile(r"(?<![@\w.])(app|otp|job|antq_actors)\.([a-z_]\w*)")
IN_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
OTHERS = {"coming_from.md": {"job"}}  # there it is RQ's job as well


def code_of(page):
    return "\n".join(IN_CODE.findall(page.read_text(encoding="utf-8")))


def options_of(name):
    command = GROUP.commands[name]
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_names_only_commands_and_options_that_exist(page):
    for line in COMMAND.findall(code_of(page)):
        name, *words = shlex.split(line.replace("\\", ""), posix=False)
        assert name in GROUP.commands, line
        given = {word.partition("=")[0] for word in words if word.startswith("--") and word != "--"}
        assert given <= options_of(name), line


FILE = re.compile(r"(?<!`)`([\w./-]+\.(?:py|md|toml|json|ya?ml|service))(?:::\w+)?`")
HISTORY = ROOT / "CHANGELOG.md"
NAMES_FILES_OF_PYKKA = "pykka_suite.md"


@pytest.mark.parametrize("page", [*PAGES, HISTORY], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_names_only_files_that_exist(page):
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    missing = [name for name in FILE.findall(prose) if not is_a_file(name)]
    assert not missing or page.name == NAMES_FILES_OF_PYKKA, missing


@cache
def project_files():
    folders = ("antq_actors", "benchmarks", "docs", "examples", "tests")
    return [file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]


def is_a_file(name):
    """Return whether a file has this path, from the project, the package or any folder."""
    if (ROOT / name).is_file() or (ROOT / "antq_actors" / name).is_file():
        return True
    return any(file.as_posix().endswith(f"/{name}") for file in project_files())


THINGS = {"app": AntQ, "otp": otp, "job": Job, "antq_actors": antq_actors}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_names_only_methods_and_fields_that_exist(page):
    skipped = OTHERS.get(page.name, set()) | {"py"}
    for thing, name in ATTRIBUTE.findall(code_of(page)):
        if {thing, name} & skipped:
            continue
        assert is_there(THINGS[thing], name), f"{thing}.{name}"


def is_there(thing, name):
    if hasattr(thing, name) or name in getattr(thing, "__annotations__", {}):
        return True
    is_package = isinstance(thing, ModuleType)  # whose modules may be imported by nobody yet
    return is_package and find_spec(f"{thing.__name__}.{name}") is not None


def test_a_name_that_does_not_exist_is_found():
    assert not is_there(AntQ, "list_job")
    assert not is_there(Job, "result_of")
    assert not is_there(antq_actors, "integration")
    assert is_there(antq_actors, "integrations")
    assert is_there(QueueHandle, "pause")
    assert is_there(QueueStatus, "counts")
    assert not is_a_file("storage/nowhere.py")
    assert is_a_file("storage/client.py")
    assert FILE.findall("`a/b.py`, `tests/t.py::test_it`, `app.py = 1`") == ["a/b.py", "tests/t.py"]
    assert COMMAND.findall("`antq start shop:app --processes 4`") == [
        "start shop:app --processes 4"
    ]
    assert ATTRIBUTE.findall("`app.list_jobs()`, `@app.task`") == [("app", "list_jobs")]


def test_the_layers_of_the_design_page_are_those_of_the_import_contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    shape = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("## Shape")[2]
    lines = shape.partition("```text\n")[2].partition("```")[0].splitlines()

    shown = [line.partition("  ")[0].split(" | ") for line in lines if not line.startswith(" ")]

    held = [layer.replace("antq_actors.", "").split(" | ") for layer in contract["layers"]]
    assert shown == held
