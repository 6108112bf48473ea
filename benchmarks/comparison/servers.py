"""Servers of the peers: found on this machine, started on loopback in a scratch folder, stopped.

Nothing of a server that runs already is touched, and nothing is left behind: a server dies with
the suite, however that ends.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from peers.processes import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TIMEOUT_SECONDS: Final = 30.0
"""Seconds in which a server has to start, and to stop."""
FOLDERS: Final = ("/usr/local/bin", "/usr/sbin", "/usr/lib/postgresql/*/bin")
"""Where Debian has them, besides PATH."""


class ServerMissing(Exception):
    """A server cannot be had; says why, and how to have it."""


@contextlib.contextmanager
def redis(folder: Path, *, durable: bool) -> Iterator[str]:
    """Run a Redis of our own and answer its URL; *durable*: fsync after every command."""
    program = find("redis-server", "apt-get install redis-server")
    port = _free_port()
    keep = ["yes", "--appendfsync", "always"] if durable else ["no"]
    command = [
        *(str(program), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
        *("--save", "", "--auto-aof-rewrite-percentage", "0", "--appendonly", *keep),
    ]
    with _running(command, folder, signal.SIGTERM, lambda: _answers(port)):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL of our own and answer its URL; its settings are the defaults."""
    initdb = find("initdb", "apt-get install postgresql")
    postgres = find("postgres", "apt-get install postgresql")
    user = _owner()
    data, port = folder / "data", _free_port()
    if user is not None:
        # It refuses to run as root. Its own user has to be able to come to the folder.
        folder.chmod(0o711)
        folder.parent.chmod(0o711)
    data.mkdir()
    if user is not None:
        shutil.chown(data, user)
    options = ["--username=bench", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    made = subprocess.run(
        [str(initdb), "-D", str(data), *options],
        user=user,
        cwd=data,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if made.returncode:
        raise ServerMissing(f"initdb failed: {made.stderr.strip()}")
    command = [str(postgres), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    with _running(command, data, signal.SIGQUIT, lambda: _accepts(data), user):
        yield f"postgresql://bench@127.0.0.1:{port}/postgres"


def version(kind: str) -> str:
    """Return the version of a server that was found."""
    program = find("redis-server" if kind == "redis" else "postgres", "")
    done = subprocess.run(
        [str(program), "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    numbers = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)
    return numbers[0] if numbers else done.stdout.strip()


def find(program: str, install: str) -> Path:
    """Return where *program* is. Raises ServerMissing, with how to *install* it."""
    on_path = shutil.which(program)
    if on_path is not None:
        return Path(on_path)
    for folder in FOLDERS:
        pattern = folder.removeprefix("/") + "/" + program
        # The highest version comes last.
        for found in sorted(Path("/").glob(pattern), reverse=True):
            return found
    raise ServerMissing(f"there is no {program} here; write for example: {install}")


@contextlib.contextmanager
def _running(
    command: Sequence[str],
    folder: Path,
    stop: signal.Signals,
    is_up: Callable[[], bool],
    user: str | None = None,
) -> Iterator[None]:
    with tempfile.TemporaryFile() as said:
        server = subprocess.Popen(
            command,
            cwd=folder,
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            # In a session of its own, Ctrl-C reaches the suite alone, which then stops it.
            start_new_session=True,
            preexec_fn=functools.partial(die_with_parent, stop),  # noqa: PLW1509 - the suite has no threads
        )
        try:
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while not is_up():
                if server.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    last = said.read().decode(errors="replace").strip()[-500:]
                    raise ServerMissing(f"{Path(command[0]).name} did not start: {last}")
                time.sleep(0.05)
            yield
        finally:
            server.send_signal(stop)
            try:
                server.wait(TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _owner() -> str | None:
    """Name who runs PostgreSQL when root may not."""
    if os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415 - there is none where there is no root

    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _accepts(data: Path) -> bool:
    """Return whether PostgreSQL has written that it is ready."""
    try:
        return "ready" in (data / "postmaster.pid").read_text(encoding="utf-8")
    except OSError:
        return False
