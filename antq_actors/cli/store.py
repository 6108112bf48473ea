"""Open the store that a command works on.

A command that only reads must not change anything: it starts no queue and creates no store.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def open_store(path: Path) -> Iterator[AntQ]:
    """Open the store at *path* for a command, in an application that runs no queues."""
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
