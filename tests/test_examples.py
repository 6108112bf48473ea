"""Every program in examples/ runs and prints what it promises under ``# Output:``."""

import re
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.programs import run_python

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(
    example
    for example in FOLDER.rglob("*.py")
    # Modules and programs that run for ever are tested by tests/web and tests/recipes.
    if not {"web", "testing"} & set(example.parts) and example.stem != "schedule"
)
LESSONS = [example for example in EXAMPLES if example.parent.name == "otp"]


def promised(example: Path) -> str:
    """Return a pattern of the promised output; ``...`` there stands for any text, lines too."""
    _, _, comment = example.read_text(encoding="utf-8").partition("\n# Output:\n")
    lines = [line.removeprefix("#").removeprefix(" ") for line in comment.splitlines()]
    assert lines, f"{example.name} promises no output"
    return ".*".join(re.escape(part) for part in "\n".join(lines).split("..."))


@cache
def run(example: Path) -> subprocess.CompletedProcess[str]:
    with TemporaryDirectory() as folder:
        return run_python(example, cwd=folder)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.relative_to(FOLDER)))
def test_the_example_prints_what_it_promises(example):
    done = run(example)

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(promised(example), done.stdout.rstrip("\n"), re.DOTALL), done.stdout


@pytest.mark.parametrize("example", LESSONS, ids=lambda example: str(example.relative_to(FOLDER)))
def test_the_lesson_prints_nothing_but_what_it_promises(example):
    done = run(example)

    assert not done.stderr
