"""pykka's source distribution, fetched once: its tests are in no wheel."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CACHE = Path(__file__).parents[3] / ".pykka_suite"
"""Removed by `make clean`."""


class Unavailable(Exception):
    """It could not be fetched."""


def fetched(version, cache):
    """Return the folder of pykka's source; fetch it with pip if it is not there.

    Raises Unavailable.
    """
    folder = cache / f"pykka-{version}"
    if not (folder / "tests" / "conftest.py").exists():
        cache.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            _unpack(_download(version, Path(temporary)), Path(temporary))
            # At once, so that another run sees all of it or nothing.
            shutil.rmtree(folder, ignore_errors=True)
            (Path(temporary) / folder.name).rename(folder)
    return folder


def _download(version, into):
    download = ["download", "--no-deps", "--no-binary", ":all:", "--dest", into]
    quiet = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "10"]
    command = [sys.executable, "-m", "pip", *download, *quiet, f"pykka=={version}"]
    try:
        pip = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, timeout=90, check=False
        )
        said = (pip.stderr or pip.stdout).strip().splitlines()
    except subprocess.TimeoutExpired:
        said = ["nothing for 90 seconds"]
    archives = list(into.glob("pykka-*.tar.gz"))
    if not archives:
        raise Unavailable(
            f"pykka's own tests were not run: the source of pykka {version} is not in {CACHE.name}/"
            f" and could not be fetched. pip said: {said[-1] if said else 'nothing'}"
        )
    return archives[0]


def _unpack(archive, into):
    with tarfile.open(archive) as opened:
        opened.extractall(into, filter="data")


def is_ci():
    """Return whether this runs where nothing may be left out."""
    return os.environ.get("CI", "").lower() in {"true", "1"}
