"""Open the store that a command works on.

A command that only reads must not change anything: it starts no queue and creates no store.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from antq_actors import AntQ
from antq_actors.storage.admin.maintenance import check_format
from antq_actors.storage.lmdb.directory import in_words

DATA_FILE: Final = "data.mdb"

_SILENT: Final = logging.NullHandler()

StorePath: TypeAlias = Annotated[
    Path,
    typer.Option("--path", envvar="ANTQ_PATH", help="Directory of the store."),
]


def check_exists(path: Path) -> None:
    """Refuse a path without a store as wrong usage. Raises StorageError if it cannot be read."""
    with in_words(path):
        exists = (path / DATA_FILE).exists()
    if not exists:
        raise typer.BadParameter(f"there is no store at '{path}'", param_hint="--path")


_here: Final[ContextVar[AntQ | None]] = ContextVar("antq_application_of_the_site", default=None)


@contextmanager
def used_where_it_runs(app: AntQ) -> Iterator[None]:
    """Have commands use *app* for its path if it runs in this process, as in tests of a site."""
    token = _here.set(app if app.antq_is_running else None)
    try:
        yield
    finally:
        _here.reset(token)


@contextmanager
def open_store(path: Path) -> Iterator[AntQ]:
    """Open the store at *path* for a command, in an application that runs no queues."""
    here = _here.get()
    if here is not None and here.path == path:  # which nothing else in this process can open
        yield here
        return
    check_exists(path)
    check_format(path)
    with started(AntQ(path, start_queues=False)) as app:
        yield app


@contextmanager
def started(app: AntQ) -> Iterator[AntQ]:
    """Start *app* for a command and stop it after; the command reports a failed start."""
    log = logging.getLogger("antq_actors.otp")
    log.addHandler(_SILENT)
    try:
        app.start()
    finally:
        log.removeHandler(_SILENT)
    with app:
        yield app
