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
from antq_actors.errors import StorageError
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
    if not _exists(path):
        raise typer.BadParameter(f"there is no store at '{path}'", param_hint="--path")


def _exists(path: Path) -> bool:
    with in_words(path):
        return (path / DATA_FILE).exists()


_of_site: Final[ContextVar[AntQ | None]] = ContextVar("antq_application_of_the_site", default=None)


@contextmanager
def commands_of(app: AntQ) -> Iterator[None]:
    """Have commands use *app*, that of a site, for its path: it has the keys and the middleware."""
    token = _of_site.set(app)
    try:
        yield
    finally:
        _of_site.reset(token)


def application_for(path: Path, key_file: Path | None = None) -> AntQ:
    """Return the application of a command on *path*: that of its site, or one that has no queues.

    *key_file*: of signing keys, of the latter.
    """
    app = of_site(path)
    return AntQ(path, start_queues=False, signing_key_file=key_file) if app is None else app


def of_site(path: Path) -> AntQ | None:
    """Return the application of the site whose command this is, if *path* is its path."""
    app = _of_site.get()
    return app if app is not None and app.path == path else None


@contextmanager
def open_shown_store(path: Path) -> Iterator[AntQ]:
    """Open the store at *path* for a command that shows it as a whole, as the dashboard does.

    A path without a store is then no wrong usage, but what there is to see. Raises StorageError.
    """
    if not _exists(path):
        raise StorageError(f"there is no store at {path}")
    with open_store(path) as app:
        yield app


@contextmanager
def open_store(path: Path) -> Iterator[AntQ]:
    """Open the store at *path* for a command, in an application that runs no queues."""
    app = application_for(path)
    if not app.antq_is_running:
        check_exists(path)
        check_format(path)
    with started(app):
        yield app


@contextmanager
def started(app: AntQ) -> Iterator[AntQ]:
    """Start *app* for a command and stop it after; the command reports a failed start.

    That of a site is left running if it runs in this process, as in tests of a site.
    """
    is_of_site = app is _of_site.get()
    if is_of_site and app.antq_is_running:  # nothing else here can open its path
        yield app
        return
    log = logging.getLogger("antq_actors.otp")
    log.addHandler(_SILENT)
    try:
        app.start(queues=False if is_of_site else None)
    finally:
        log.removeHandler(_SILENT)
    with app:
        yield app
