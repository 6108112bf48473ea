"""A virtual environment for each peer, made once and kept in ``.bench/`` of the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from comparison.contestants import Peer

FOLDER: Final = Path(__file__).parent.parent.parent / ".bench"
TIMEOUT_SECONDS: Final = 300.0
"""Seconds in which a peer has to be installed."""
NEWEST: Final = 14
"""The last Python 3 that is looked for."""


class NotInstalled(Exception):
    """A peer cannot be installed; says why."""


def python_of(peer: Peer, *, pip_options: tuple[str, ...] = (), folder: Path = FOLDER) -> Path:
    """Return the Python that has *peer*, after installing it if it is not there.

    Raises NotInstalled, with the reason.
    """
    if not peer.requirements:
        return Path(sys.executable)
    environment = folder / peer.name
    python = environment / "bin" / "python"
    done = environment / "requirements.txt"
    wanted = "\n".join(peer.requirements)
    if done.is_file() and done.read_text() == wanted and python.exists():
        return python
    try:
        # Without a pip of its own, which takes longer than most peers: ours can install there.
        _run(str(_interpreter(peer)), "-m", "venv", "--clear", "--without-pip", str(environment))
        pip = (sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet")
        _run(*pip, "--disable-pip-version-check", *pip_options, *peer.requirements)
    except NotInstalled:
        shutil.rmtree(environment, ignore_errors=True)
        raise
    done.write_text(wanted)
    return python


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"installing did not end within {TIMEOUT_SECONDS:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NotInstalled((lines or done.stderr.strip().splitlines() or ["pip failed"])[-1])


def _interpreter(peer: Peer) -> Path:
    """Return a Python that is new enough: this one, or another that is found on the machine."""
    if sys.version_info >= peer.python:
        return Path(sys.executable)
    for minor in range(peer.python[1], NEWEST + 1):
        name = f"python3.{minor}"
        pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
        found = shutil.which(name)
        for candidate in (found, *pyenv.glob(f"versions/*/bin/{name}")):
            # One on the path may be a shim of pyenv's that leads nowhere: only running it tells.
            if candidate is not None and _starts(Path(candidate)):
                return Path(candidate)
    oldest = ".".join(map(str, peer.python))
    raise NotInstalled(f"it needs Python >= {oldest}, and there is none on PATH or in pyenv")


def _starts(candidate: Path) -> bool:
    command = [str(candidate), "-c", "import sqlite3, ssl, venv"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def versions(peer: Peer, python: Path) -> dict[str, str]:
    """Return the Python and the packages *peer* runs on, by name."""
    code = "import platform; print(platform.python_version())"
    done = subprocess.run(
        [str(python), "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    packages = (requirement.partition("==") for requirement in peer.requirements)
    pinned = {name.partition("[")[0]: version for name, _, version in packages}
    return {"python": done.stdout.strip(), **pinned}
