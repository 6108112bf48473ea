"""The list of commands, and what is imported for each."""

import importlib
import inspect
import json

import pytest
from support.programs import run_python

from antq_actors.cli import USAGE, group, run

LOADED = """
import json, sys
from antq_actors import cli
code = cli.run(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""

NOT_FOR_THE_VERSION = {
    *("asyncio", "cloudpickle", "concurrent.futures", "importlib.metadata", "inspect", "lmdb"),
    *("logging", "msgspec", "multiprocessing", "pykka", "rich", "socket", "subprocess", "typer"),
    *("antq_actors.app", "antq_actors.jobs", "antq_actors.otp", "antq_actors.storage"),
}
NOT_FOR_HELP = NOT_FOR_THE_VERSION - {"inspect", "typer", "subprocess"}


def modules_loaded_by(*arguments):
    done = run_python("-c", LOADED, *arguments, check=True)
    code, modules = json.loads(done.stderr)
    assert code == 0
    return set(modules)


@pytest.mark.parametrize("name", group.COMMANDS)
def test_the_summary_of_a_command_is_the_first_line_of_its_help(name):
    module, _, function = group.COMMANDS[name].place.partition(":")

    found = getattr(importlib.import_module(f"antq_actors.cli.{module}"), function)

    assert group.COMMANDS[name].summary == inspect.getdoc(found).partition("\n")[0]


def test_the_version_is_shown_without_any_library():
    assert modules_loaded_by("--version") & NOT_FOR_THE_VERSION == set()


def test_the_list_of_commands_is_shown_without_importing_one():
    loaded = modules_loaded_by("--help")

    assert loaded & NOT_FOR_HELP == set()
    assert not loaded & {f"antq_actors.cli.{name}" for name in ("jobs", "start", "demo", "store")}


@pytest.mark.parametrize("name", ["Worker", "worker", "AntQ"])
def test_who_enqueues_from_threads_imports_no_event_loop(name):
    done = run_python(
        "-c", f"from antq_actors import {name}; import sys; print(*sys.modules)", check=True
    )

    assert not {"asyncio", "rich", "typer"} & set(done.stdout.split())


def test_importing_the_package_imports_none_of_its_parts():
    done = run_python("-c", "import antq_actors, sys; print(*sys.modules)", check=True)

    ours = [name for name in done.stdout.split() if name.startswith("antq_actors")]
    assert ours == ["antq_actors"]


def test_a_misspelt_command_is_refused_with_the_one_that_is_meant(capsys):
    code = run(["lst"])

    assert code == USAGE
    assert capsys.readouterr().err == "antq: No such command 'lst'. Did you mean 'list'?\n"
