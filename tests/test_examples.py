"""Every program in examples/ runs and prints what it promises under ``# Output:``."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.rglob("*.py"))


def promised(example: Path) -> str:
    """Answer a pattern of the promised output; ``...`` there stands for any text, lines too."""
    _, _, comment = example.read_text(encoding="utf-8").partition("\n# Output:\n")
    lines = [line.removeprefix("#").removeprefix(" ") for line in comment.splitlines()]
    assert lines, f"{example.name} promises no output"
    return ".*".join(re.escape(part) for part in "\n".join(lines).split("..."))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.relative_to(FOLDER)))
def test_the_example_prints_what_it_promises(example, tmp_path):
    done = subprocess.run(  # noqa: S603 - our own examples
        [sys.executable, example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(promised(example), done.stdout.rstrip("\n"), re.DOTALL), done.stdout
