"""Ray, for all executors of this process: started when the first needs it.

What runs already is used: a Ray that this process has started, the cluster that ``RAY_ADDRESS``
names, or the one of this machine; else a local one is started. What was started
elsewhere is never shut down here.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import Final, NamedTuple

import ray

from antq_actors.executors.base import NotReady

_CONNECT_TIMEOUT_SECONDS: Final = 3.0


class _Users:
    """How many executors use Ray, and whether it was started for them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number = 0
        self.is_ours = False


_users = _Users()


class RaySession(NamedTuple):
    """A connection to a cluster."""

    where: str
    job: str
    """As whom Ray knows this process, until that ends the connection."""


def connect() -> RaySession:
    """Connect this process to Ray, or start one; pair with `disconnect`. Raises NotReady."""
    with _users.lock:
        try:
            if not ray.is_initialized():
                _check_address(os.environ.get("RAY_ADDRESS", ""))
                ray.init()
                _users.is_ours = True
            context = ray.get_runtime_context()
            session = RaySession(context.gcs_address, context.get_job_id())
        except Exception as error:
            raise NotReady(f"there is no Ray to use: {type(error).__name__}: {error}") from error
        _users.number += 1
        return session


def _check_address(address: str) -> None:
    """Raise OSError if nothing listens at Ray's address; Ray itself would try that for a minute."""
    name, _, port = address.rpartition(":")
    if name and "/" not in name and port.isdecimal():
        socket.create_connection((name, int(port)), timeout=_CONNECT_TIMEOUT_SECONDS).close()


def disconnect() -> None:
    """Count one executor less that uses Ray; the last shuts Ray down, if it was started here."""
    with _users.lock:
        _users.number -= 1
        if _users.number == 0 and _users.is_ours:
            _users.is_ours = False
            ray.shutdown()


def abandon(session: RaySession) -> None:
    """Shut down the Ray of *session*, whose node has died, if this process started it."""
    with _users.lock:
        if _users.is_ours and is_open(session):
            _users.is_ours = False
            ray.shutdown()


def is_connected() -> bool:
    """Return whether this process is connected to any Ray."""
    there: bool = ray.is_initialized()
    return there


def is_open(session: RaySession) -> bool:
    """Return whether this process is still connected to the Ray of *session*."""
    job: str | None = None
    if is_connected():
        job = ray.get_runtime_context().get_job_id()
    return job == session.job
