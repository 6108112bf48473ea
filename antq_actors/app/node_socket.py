"""A node's socket: other processes of the store ask it for what only this process has.

``node-<number>.sock`` in the store's directory, for its owner alone: whoever may write the store
may ask. A question and its answer are one msgpack value each, behind their length; a connection is
for one of them.

    tree      the supervision trees, with the jobs that worker actors perform, and what
              supervisors did lately
    stack     what the thread of a job is at
    drain     claim no more jobs, and be no node any more when those that run have ended
    harm      end an actor, or hinder it, and see what comes of that
    record    note what an actor does, for a while
    recording what was noted of it
    children  the children of a supervisor whose names have a text
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from antq_actors.errors import AntqError

if TYPE_CHECKING:
    from pathlib import Path

log: Final = logging.getLogger("antq_actors.app")

TIMEOUT_SECONDS: Final = 5.0
"""Longest wait for the other end of a connection."""
HARM: Final = "harm"
HARM_SECONDS: Final = 30.0
"""Longest wait for what comes of harm: supervisors may take their time."""
MOST_QUESTION_BYTES: Final = 2**16
MOST_ANSWER_BYTES: Final = 2**26
MOST_AT_ONCE: Final = 8
"""Questions that are answered at once; others wait in the socket's queue."""
_LENGTH: Final = struct.Struct(">I")
_CREDENTIALS: Final = struct.Struct("3i")

Answers: TypeAlias = Mapping[str, Callable[[Mapping[str, Any]], Any]]
"""What returns the answer to a question, given its options."""


class NodeUnreachable(AntqError):
    """A node cannot be asked: it has no socket, does not answer, or refuses."""

    def __init__(self, message: str, cause: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        """The class of the error for which the node refuses; "": it does not answer."""
        self.detail = detail
        """The text of that error."""


class NodeSocket:
    """Serves questions about this node, each in a thread of its own, while it is open."""

    def __init__(self, directory: Path, answers: Answers) -> None:
        self._directory = directory
        self._answers = answers
        self._listener: socket.socket | None = None
        self._path: Path | None = None
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)

    def open(self, number: int) -> None:
        """Listen as the node *number*. What cannot be opened is logged: the node runs without."""
        self.close()
        path = socket_path(self._directory, number)
        _delete_dead(self._directory)
        try:
            self._listener = _listen(path)
        except OSError as error:
            log.debug("%s cannot be opened, so the tree of this node is not shown: %s", path, error)
            return
        self._path = path
        name = f"antq node {number} socket"
        threading.Thread(target=self._serve, args=[self._listener], name=name, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and delete the socket."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        listener.close()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            self._free.acquire()
            try:
                connection, _ = listener.accept()
            except OSError:  # closed
                self._free.release()
                return
            threading.Thread(
                target=self._answer, args=[connection], name="antq node answer", daemon=True
            ).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError, EOFError, msgspec.MsgspecError):
                connection.settimeout(TIMEOUT_SECONDS)
                if not _is_owner(connection):
                    return
                question, options = msgspec.msgpack.decode(
                    _receive(connection, MOST_QUESTION_BYTES), type=tuple[str, dict[str, Any]]
                )
                _send(connection, self._answer_to(question, options))
        finally:
            self._free.release()

    def _answer_to(self, question: str, options: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._answers.get(question)
        if answer is None:
            return {"error": f"this node does not know the question {question!r}"}
        try:
            return {"ok": answer(options)}
        except Exception as error:  # noqa: BLE001 - it is the asker's to hear of it
            return {"error": f"{type(error).__name__}: {error}"}


def ask(directory: Path, number: int, question: str, options: Mapping[str, Any]) -> Any:
    """Ask the node *number* of the store in *directory*, and return the answer as plain values.

    Raises NodeUnreachable.
    """
    path = socket_path(directory, number)
    if not path.exists():
        raise NodeUnreachable(f"node {number} has no socket: it runs an earlier release, or ended")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(HARM_SECONDS if question == HARM else TIMEOUT_SECONDS)
            with _short(path) as name:
                connection.connect(name)
            _send(connection, [question, options])
            answer = msgspec.msgpack.decode(_receive(connection, MOST_ANSWER_BYTES))
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise NodeUnreachable(f"node {number} does not answer: {error}") from None
    if "error" in answer:
        cause, _, detail = answer["error"].partition(": ")
        raise NodeUnreachable(f"node {number} refuses: {answer['error']}", cause, detail)
    return answer["ok"]


def socket_path(directory: Path, number: int) -> Path:
    """Return where the socket of a node is."""
    return directory / f"node-{number}.sock"


class _short:  # noqa: N801 - used as a function
    """A name of a socket that is short enough for the system, also deep in a file system."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder: int | None = None

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) < 100:  # noqa: PLR2004 - 107 on Linux, 103 elsewhere
            return str(self._path)
        self._folder = os.open(self._path.parent, os.O_RDONLY)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def __exit__(self, *_exception: object) -> None:
        if self._folder is not None:
            os.close(self._folder)


def _listen(path: Path) -> socket.socket:
    """Return a socket at *path* that its owner alone may connect to. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX)
    new = path.with_suffix(".new")  # so that at the name of a socket there is one that listens
    try:
        new.unlink(missing_ok=True)
        with _short(new) as name:
            listener.bind(name)
        new.chmod(0o600)
        listener.listen()
        new.replace(path)
    except BaseException:
        listener.close()
        raise
    return listener


def _delete_dead(directory: Path) -> None:
    """Delete the sockets of nodes that were killed: nobody listens there any more."""
    for path in directory.glob("node-*.sock"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(0)  # a busy node is not waited for
            try:
                with _short(path) as name:
                    connection.connect(name)
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)


def _is_owner(connection: socket.socket) -> bool:
    """Return whether the other end is this user, or root; where the system cannot say, it is."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    found = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(found)[1] in (0, os.geteuid())


def _send(connection: socket.socket, value: Any) -> None:
    content = msgspec.msgpack.encode(value)
    connection.sendall(_LENGTH.pack(len(content)) + content)


def _receive(connection: socket.socket, most: int) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > most:
        raise EOFError(f"{length:,} bytes are too many")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = connection.recv(min(size, 2**16))
        if not part:
            raise EOFError("the other end has closed the connection")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
