"""The PID namespace of this process: who is in another one must not open the same store.

LMDB knows processes and threads by their numbers. Two namespaces, which two containers have unless
told otherwise, give the same numbers to different processes. Then LMDB takes one for the other: it
refuses transactions, or believes that a lock is held by whoever asks for it.
"""

from __future__ import annotations

import os
from pathlib import Path


def current() -> int | None:
    """Return the number of this process's namespace; None where the system has no such thing.

    It is unique among the namespaces that have a process. It is asked for each time: a child that
    is forked after ``os.unshare`` is in another one. The device of the number is not looked at, as
    it is the same for all namespaces of a kernel.
    """
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # no Linux, or no /proc
        return None


def refusal(directory: str | os.PathLike[str]) -> str:
    """Return what to say of a store that processes of another namespace have open."""
    return (
        f"{os.fspath(directory)} is open in a process of another PID namespace, such as another"
        " container. LMDB tells processes apart by their numbers, which two namespaces give twice,"
        " so jobs could be lost. Let the containers share one PID namespace: in Docker Compose"
        ' `pid: "service:web"`, with docker `--pid=container:NAME`, in Kubernetes'
        " `shareProcessNamespace: true`. Or run all in one container; a single command goes there"
        " with `docker exec`"
    )
