"""The suite itself: green on a busy machine, complete when something fails, and never a flood."""

import ast
import os
import re
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
ELAPSED = {"took", "elapsed"}


def nodes_of(kind, files, pattern):
    """Yield each node of a *kind*, and where it is; only files with the *pattern* are parsed."""
    for file in files:
        text = file.read_text(encoding="utf-8")
        if not re.search(pattern, text):
            continue  # most files: to parse all of them takes long
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, kind):
                yield f"{file.relative_to(TESTS.parent)}:{node.lineno}", node


def test_no_shared_exception_is_raised_as_it_is():
    # Each raise adds its frames to the traceback of the object; supervised.raise_anew does not.
    raised = nodes_of(ast.Raise, FILES, r"\braise[\s(]+_*[A-Z][A-Z0-9_]*\b")

    assert [
        (where, each.exc.id)
        for where, each in raised
        if isinstance(each.exc, ast.Name) and each.exc.id.isupper()
    ] == []


def test_no_test_asserts_that_something_is_fast():
    # A bound has a name, which says why no busy machine exceeds it: LONGEST, or what it is not.
    asserted = nodes_of(ast.Assert, FILES, "|".join(rf"\b{name}\b" for name in ELAPSED | CLOCKS))
    bounds = [
        (where, ast.unparse(each))
        for where, node in asserted
        for each in ast.walk(node.test)
        if isinstance(each, ast.Compare) and is_elapsed(each.left) and not is_generous(each)
    ]

    assert bounds == []


def is_elapsed(node):
    if isinstance(node, ast.Name):
        return node.id in ELAPSED
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
        where
        for where, each in nodes_of(ast.Call, TESTS.rglob("test_*.py"), r"\bids\s*=\s*str\b")
        if ast.unparse(each.func).endswith("mark.parametrize")
        if any(ids.arg == "ids" and ast.unparse(ids.value) == "str" for ids in each.keywords)
        if any(is_set_of_words(part) for part in ast.walk(each))
    ]

    assert named == []


def is_set_of_words(node):
    return isinstance(node, ast.Set) and any(
        isinstance(each, ast.Constant) and isinstance(each.value, str) for each in node.elts
    )
