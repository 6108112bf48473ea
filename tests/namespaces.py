"""Commands that run in a PID namespace of their own, as a container has one."""

import shutil
import subprocess
from pathlib import Path

import pytest

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


def entering(unshare_pid):
    """Return the command that enters the namespace whose first process *unshare_pid* started."""
    children = Path(f"/proc/{unshare_pid}/task/{unshare_pid}/children")
    first = children.read_text(encoding="ascii").split()[0]
    return ("nsenter", "--target", first, "--pid", "--mount")
