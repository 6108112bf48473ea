"""The stores that this process has open: each path once, because LMDB does not tolerate it twice.

A store is never used in a fork of the process that opened it.
"""

from __future__ import annotations

import dataclasses
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from antq_actors.errors import StorageError
from antq_actors.storage.admin.migrate import Migration
from antq_actors.storage.lmdb import directory
from antq_actors.storage.lmdb.directory import StoreRemoved, removed
from antq_actors.storage.lmdb.environment import Environment, guard, open_here, removed_here
from antq_actors.storage.locks.store_lock import StoreLock, lock_for_opening

if TYPE_CHECKING:
    from antq_actors.storage.format.encoding import Signer

_FIRST_MAP_BYTES: Final = 64 * 2**20
"""Bytes. It doubles when full; the file takes only what is used of it."""
_kept: Final[list[Environment]] = []
"""The parent's, in a fork: kept, so that nothing is done at their deletion."""


def open_environment(
    path: str | os.PathLike[str],
    *,
    durable: bool = True,
    owner: object = None,
    map_size: int = _FIRST_MAP_BYTES,
    lock: StoreLock | None = None,
    migrate: bool = True,
    signer: Signer | None = None,
) -> Environment:
    """Open the LMDB environment of the store in *path*, and make or migrate its files if need be.

    *durable*: each commit is on disk when it returns. *owner*: opening the same path again with
    the same owner returns the same environment, as the successor of a killed storage actor needs
    it. *map_size*: bytes to begin with. *lock*: held by who needs the store alone, and kept when it
    is closed. *migrate*: a store of an older format is migrated, however large it is; else it is
    refused. *signer*: a migration signs anew what it has signed; and what is encrypted with.

    Raises StorageError when the path cannot be used, saying why, or this process has it open.
    """
    if owner is not None and (error := removal(path, owner)) is not None:
        raise error
    real = directory.prepare(path)
    with guard:
        there = open_here.get(real)
        if there is not None:
            if owner is not None and there.owner is owner:
                return there
            raise StorageError(
                f"{real} is already open in this process; use the AntQ that has it, or stop"
                " that one first"
            )
        with lock_for_opening(real), ExitStack() as undo:
            held = StoreLock(real) if lock is None else lock
            if lock is None:
                undo.callback(held.release)
            env = Environment(real, durable=durable, owner=owner, map_size=map_size, lock=held)
            undo.callback(env.close)
            if signer is not None and signer.cipher is not None:
                env.tables = dataclasses.replace(env.tables, cipher=signer.cipher)
            _bring_up_to_date(env, signer, migrate=migrate)
            undo.pop_all()
        return env


def removal(path: str | os.PathLike[str], owner: object = None) -> StoreRemoved | None:
    """Return the error for a store whose files were removed while this process had it open.

    None: they were not, or its application has stopped. *owner*: only for a store of this owner.
    """
    real = Path(os.path.realpath(path))
    whose, finding = removed_here.get(real, (None, ""))
    if whose is None or owner not in (None, whose):
        return None
    return removed(real, finding)


def opened(path: str | os.PathLike[str]) -> Environment | None:
    """Return the LMDB environment that this process has open for *path*; None: it has none."""
    return open_here.get(Path(os.path.realpath(path)))


def _bring_up_to_date(env: Environment, signer: Signer | None, *, migrate: bool) -> None:
    """Rewrite a store of an older format if *migrate* says so.

    Raises StorageError if not, or when another process has the store open. That is one of an
    earlier release: one of this waits until the store is opened here.
    """
    lmdb_env = env._env  # noqa: SLF001 - a migration is a part of it
    migration = env.adopting(lambda: Migration(lmdb_env, env.tables, env.path, signer=signer))
    migration.begin()
    if not migration.is_due:
        return
    if not migrate:
        raise migration.due_error()
    is_alone = env.lock.is_exclusive
    if not is_alone and not env.lock.take_exclusively():
        raise migration.in_use_error()
    # Nobody is answered before the end: the flush of a batch also carries the one before.
    migration.run(partial(env.write, flushes=False))
    env.flush()
    if not is_alone:
        env.lock.share()


def close_left_open(path: str | os.PathLike[str], owner: object) -> None:
    """Close the LMDB environment that a killed storage actor of *owner* left open, if any.

    Its thread may be at its last transaction; that one is waited for.
    """
    real = Path(os.path.realpath(path))
    env = open_here.get(real)
    if env is not None and env.owner is owner:
        env.close()
    if removal(real, owner) is not None:
        del removed_here[real]


# A fork copies the environments, but LMDB binds them to the parent. Between two transactions a
# copy can be closed without touching anything that the parent shares, and the child may then open
# the path itself. So a fork waits for the write lock, as everyone else.

_FORK_TIMEOUT_SECONDS: Final = 5.0
_held_over_fork: Final[list[Environment]] = []


def _before_fork() -> None:
    guard.acquire()
    _held_over_fork.extend(env for env in open_here.values() if env.freeze(_FORK_TIMEOUT_SECONDS))


def _after_in_parent() -> None:
    for env in _held_over_fork:
        env.unfreeze()
    _held_over_fork.clear()
    guard.release()


def _after_in_child() -> None:
    _kept.extend(open_here.values())
    open_here.clear()
    for env in _held_over_fork:
        env.abandon()
    _after_in_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_in_parent,
        after_in_child=_after_in_child,
    )
