"""The tests that docs/testing.md shows run, and pass."""

import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "examples" / "testing"


def test_the_tests_of_the_example_pass(tmp_path):
    folder = shutil.copytree(EXAMPLE, tmp_path / "shop")

    done = subprocess.run(  # noqa: S603 - our own examples
        [sys.executable, "-m", "pytest", "--rootdir", folder, "-W", "error", folder],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout
