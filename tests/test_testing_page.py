"""The tests that docs/testing.md shows run, and pass."""

import shutil
from pathlib import Path

from support.programs import run_python

EXAMPLE = Path(__file__).parent.parent / "examples" / "testing"


def test_the_tests_of_the_example_pass(tmp_path):
    folder = shutil.copytree(EXAMPLE, tmp_path / "shop")

    done = run_python(
        "-m", "pytest", "--rootdir", folder, "-W", "error", folder, cwd=folder, timeout=100
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout
