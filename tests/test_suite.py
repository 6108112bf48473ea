"""The suite itself: green on a busy machine, complete when something fails, and never a flood."""

import ast
import os
import subprocess
from collections import Counter
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.reports import MOST_CHARACTERS, shorten, shortened

TESTS = Path(__file__).parent
FILES = sorted([*TESTS.rglob("*.py"), *(TESTS.parent / "benchmarks").rglob("*.py")])
CLOCKS = {"monotonic", "perf_counter", "time"}


@pytest.fixture(scope="module")
def nodes():
    """What is raised and asserted in all files, as (where, node)."""
    return [
        (f"{file.relative_to(TESTS.parent)}:{node.lineno}", node)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise | ast.Assert)
    ]


def test_no_shared_exception_is_raised_as_it_is(nodes):
    # Each raise adds its frames to the traceback of the object; supervised.raise_anew does not.
    raised = [(where, node.exc) for where, node in nodes if isinstance(node, ast.Raise)]

    assert [
        (where, each.id)
        for where, each in raised
        if isinstance(each, ast.Name) and each.id.isupper()
    ] == []


def test_no_test_asserts_that_something_is_fast(nodes):
    # A bound has a name, which says why no busy machine exceeds it: LONGEST, or what it is not.
    asserted = [(where, node.test) for where, node in nodes if isinstance(node, ast.Assert)]
    bounds = [
        (where, ast.unparse(each))
        for where, test in asserted
        for each in ast.walk(test)
        if isinstance(each, ast.Compare) and is_elapsed(each.left) and not is_generous(each)
    ]

    assert bounds == []


def is_elapsed(node):
    if isinstance(node, ast.Name):
        return node.id in ("took", "elapsed")
    return any(
        isinstance(each, ast.Attribute) and each.attr in CLOCKS
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        for each in [call.func]
    )


def is_generous(node):
    (operator,), (bound,) = node.ops[-1:], node.comparators[-1:]
    if isinstance(operator, ast.Gt | ast.GtE):
        return True
    return isinstance(bound, ast.Name)


@pytest.mark.parametrize(("first", "second", "third"), [*product((0, 1), repeat=3)])
def test_make_test_runs_all_parts_and_fails_if_one_has(tmp_path, first, second, third):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(
        '#!/bin/sh\necho "$@" >> "$PARTS"\n'
        f'case "$*" in *--ignore=*) exit {first};; *executors) exit {second};; esac\n'
        f"exit {third}\n"
    )
    python.chmod(0o755)
    ready = tmp_path / ".ready"
    ready.touch()
    parts = tmp_path / "parts"

    done = subprocess.run(  # noqa: S603 - the developer's
        ["make", "test", f"BIN={python.parent}", f"READY={ready}"],  # noqa: S607 - as above
        cwd=TESTS.parent,
        env={**os.environ, "PARTS": str(parts), "OPTIONS": "", "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert len(parts.read_text().splitlines()) == 3, done.stderr
    assert (done.returncode != 0) is bool(first or second or third)


def test_a_long_text_is_shortened_in_its_middle():
    text = "begin" + "x" * 10 * MOST_CHARACTERS + "end"

    short = shortened(text)

    assert len(short) < MOST_CHARACTERS + 100
    assert short.startswith("begin")
    assert short.endswith("end")
    assert shortened("as it is") == "as it is"


def test_a_report_prints_no_flood():
    flood = "x" * 10_000_000
    report = SimpleNamespace(sections=[("Captured log call", flood)], longrepr=flood, failed=True)

    shorten(report)

    assert len(report.longrepr) + len(report.sections[0][1]) < 3 * MOST_CHARACTERS


def test_no_two_test_files_have_one_name():
    # Test folders are no packages, so a file is imported by its bare name, and once.
    names = Counter(each.name for each in TESTS.rglob("test_*.py"))

    assert [name for name, count in names.items() if count > 1] == []


def test_no_set_of_words_names_a_case():
    # Each program of a run collects the tests by itself, and orders the words of a set its own way.
    named = [
        f"{file.relative_to(TESTS.parent)}:{each.lineno}"
        for file in TESTS.rglob("test_*.py")
        for each in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(each, ast.Call) and ast.unparse(each.func).endswith("mark.parametrize")
        if any(ids.arg == "ids" and ast.unparse(ids.value) == "str" for ids in each.keywords)
        if any(is_set_of_words(part) for part in ast.walk(each))
    ]

    assert named == []


def is_set_of_words(node):
    return isinstance(node, ast.Set) and any(
        isinstance(each, ast.Constant) and isinstance(each.value, str) for each in node.elts
    )
