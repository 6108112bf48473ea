"""Commands that run in a PID namespace of their own, as a container has one."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.apps import until

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def _is_permitted():
    if shutil.which("unshare") is None:
        return False
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=30, check=False)  # noqa: S603 - the system's own command
    except OSError:
        return False
    return done.returncode == 0


needs_namespaces = pytest.mark.skipif(
    not _is_permitted(), reason="this user or system may make no PID namespace"
)


def first_process(unshare_pid):
    """Return the number that the first process of a namespace has here."""
    children = Path(f"/proc/{unshare_pid}/task/{unshare_pid}/children")
    return int(until(children.read_text, "its first process").split()[0])


def entering(unshare_pid, directory):
    """Return the command that enters the namespace whose first process *unshare_pid* started.

    What it runs begins in *directory*; to enter the mounts leads to the root.
    """
    namespace = ("nsenter", "--target", str(first_process(unshare_pid)), "--pid", "--mount")
    return (*namespace, "env", f"--chdir={directory}")
