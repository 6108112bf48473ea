"""Django's own tests of its backends, of its source distribution, against ours."""

import re
import subprocess
import sys
import tarfile

import django
import pytest
from support.django_sites import HERE
from support.programs import run_python

pytestmark = [
    pytest.mark.skipif(
        sys.version_info < (3, 12), reason="Django 6, which has these tests, needs Python 3.12"
    ),
    pytest.mark.skipif(django.VERSION < (6,), reason="Django before 6 has no such tests"),
]

MOST_LEFT_OUT = 10
"""Tests of Django that fit no backend that stores tasks; own_tests.py names them, and why."""


@pytest.fixture
def folder(tmp_path):
    """The tests of the Django that is installed, fetched by pip."""
    wanted = ["--no-deps", "--no-binary", ":all:", "-d", str(tmp_path)]
    command = [sys.executable, "-m", "pip", "download", "-q", *wanted]
    fetched = subprocess.run(  # noqa: S603 - the package that is installed
        [*command, f"django=={django.__version__}"], capture_output=True, text=True, check=False
    )
    if fetched.returncode != 0:
        pytest.skip(f"pip cannot fetch the source distribution of Django: {fetched.stderr}")
    with tarfile.open(next(tmp_path.glob("[dD]jango-*.tar.gz"))) as source:
        members = [each for each in source if "/tests/tasks/" in each.name]
        source.extractall(tmp_path, members, filter="data")
    return next(tmp_path.glob("*/tests"))


def test_the_backend_passes_the_tests_of_django(folder, tmp_path):
    done = run_python(HERE / "django_site" / "own_tests.py", folder, tmp_path, timeout=120)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= count_in(folder) - MOST_LEFT_OUT


def count_in(folder):
    files = [folder / "tasks" / f"test_{name}.py" for name in ("tasks", "immediate_backend")]
    return sum(len(re.findall(r"def test_", file.read_text())) for file in files)
