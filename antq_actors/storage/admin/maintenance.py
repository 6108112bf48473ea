"""What an operator does to a store as a whole.

    verify, backup, sizes  also while applications run
    restore                to a path that holds no store
    compact, migrate, reseal   nobody else may have the store open; else it is refused

Each raises StorageError, saying what to do instead, and then has changed nothing. The same as
commands: ``antq verify`` and so on.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors import events
from antq_actors.checks import escaped
from antq_actors.errors import StorageError
from antq_actors.events.hub import of_path
from antq_actors.introspection import shown
from antq_actors.jobs import instant
from antq_actors.jobs.outcome import GivenBack
from antq_actors.storage.admin.resealing import reseal_all
from antq_actors.storage.admin.verify import verify as verify_tables
from antq_actors.storage.format.cipher import cipher_of
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.jobs import upkeep
from antq_actors.storage.jobs.job_store import read, write
from antq_actors.storage.lmdb import file_check, open_stores
from antq_actors.storage.lmdb.directory import in_words, real, storage_error
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.storage.locks import node_lock
from antq_actors.storage.locks.store_lock import StoreLock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.job_store import JobStore
    from antq_actors.storage.lmdb.environment import Environment

__all__ = [
    "Compacted",
    "backup",
    "compact",
    "migrate",
    "reseal",
    "restore",
    "verify",
]

log: Final = logging.getLogger("antq_actors.storage")

DATA_FILE: Final = "data.mdb"
_COMPACTING: Final = ".compacting-"


class Compacted(NamedTuple):
    """What compacting came to, in bytes of the file."""

    before: int
    after: int


class StoreSizes(NamedTuple):
    """What a store takes of the disk, in bytes of the file."""

    file: int
    used: int
    """By what is stored."""
    free: int
    """Left by what was deleted, for what is stored next."""
    reserved: int
    """Ahead of all that, so that a commit seldom has to make the file longer."""


def verify(path: str | os.PathLike[str], *, signing_keys: Sequence[bytes] = ()) -> list[str]:
    """Read all of a store; return what is wrong, one sentence each, nothing when all is well.

    When nobody has it open, the pages of its file are walked first, by a reader that no damage can
    crash; if one is damaged, that is all that is looked at. Then every job is read, and every
    entry of every index, every count and unique key compared with the jobs; with *signing_keys*
    every signature as well. Applications may run while it does: it sees the store as it was when it
    began.
    """
    store = _existing(path)
    if open_stores.opened(store) is None:
        damage = _walk_if_unused(store)
        if damage:
            return damage
    with _opened(store) as env:
        return findings(env, signing_keys)


def backup(path: str | os.PathLike[str], target: str | os.PathLike[str]) -> Path:
    """Copy a store, as it is at this moment, to the new directory *target*; return its path.

    Applications go on meanwhile. The copy is compact, is on disk when this returns, and
    appears under its name only when it is whole.
    """
    with _opened(path) as env:
        return copy_to(env, target)


def sizes(path: str | os.PathLike[str]) -> StoreSizes:
    """Return what a store takes of the disk, and what for."""
    with _opened(path) as env:
        used, end = env.sizes()
        with in_words(env.path):
            file = (env.path / DATA_FILE).stat().st_size
    return StoreSizes(file, used, end - used, max(0, file - end))


def restore(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> int:
    """Make a store at *path* of the backup *source*, verified; return how many jobs it holds.

    Jobs that were running when the backup was made are enqueued, and nothing is counted. *path*
    must hold no store.
    """
    backed_up, target = _existing(source), real(path)
    with in_words(target):
        is_taken = (target / DATA_FILE).exists()
    if is_taken:
        raise StorageError(
            f"there is a store in {target}: move it away first (mv {target} {target}.old), then"
            " repeat this"
        )
    damage = file_check.walk(backed_up)
    if damage:
        raise _damaged_backup(backed_up, damage)
    with atomic_directory(target) as directory:
        _copy_file(backed_up / DATA_FILE, directory / DATA_FILE)
        env = open_environment(directory)
        try:
            damage = findings(env)
            if damage:
                raise _damaged_backup(backed_up, damage)
            _give_back(env, instant.now())
            jobs = read(env, lambda reader: reader.count(None, None))
        finally:
            env.close()
        for file in directory.iterdir():
            if file.name != DATA_FILE:
                file.unlink()
    return jobs


def compact(path: str | os.PathLike[str]) -> Compacted:
    """Rewrite a store's file without the room of deleted jobs; return the sizes before and after.

    Needs as much free disk as the store will have, for the time of the copy.
    """
    store = _existing(path)
    with _exclusively_locked(store) as lock:
        for left in store.glob(f"{_COMPACTING}*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        env = open_environment(store, lock=lock)
        with tempfile.TemporaryDirectory(prefix=_COMPACTING, dir=store) as folder:
            try:
                _refuse_living_nodes(env)
                env.copy(Path(folder))
            finally:
                env.close()
            copy, data = Path(folder, DATA_FILE), store / DATA_FILE
            before, after = data.stat().st_size, copy.stat().st_size
            copy.chmod(0o600)
            _sync(copy)
            copy.replace(data)
            _sync(store)
    for hub in of_path(store):
        hub.tell(events.Compacted)
    return Compacted(before, after)


def migrate(
    path: str | os.PathLike[str],
    signing_keys: Sequence[bytes] = (),
    *,
    encryption_keys: Sequence[bytes] = (),
) -> None:
    """Bring a store to the format of this release; one that has it is left as it is.

    Jobs that are signed with one of *signing_keys* are rewritten and signed anew with the first;
    those of other keys keep their arguments as they are, and run. *encryption_keys*: what is
    encrypted is kept as it is, with them and without.
    """
    store, signer = _existing(path), Signer(signing_keys, cipher_of(encryption_keys))
    with _exclusively_locked(store) as lock:
        open_environment(store, lock=lock, signer=signer).close()


def check_format(path: str | os.PathLike[str]) -> None:
    """Raise StorageError for a store of an older format, which has to be migrated first."""
    with _opened(path):
        pass


def reseal(
    path: str | os.PathLike[str],
    signing_keys: Sequence[bytes] = (),
    *,
    encryption_keys: Sequence[bytes] = (),
) -> int:
    """Sign every job with the first of *signing_keys*; return how many.

    Signatures are not checked: all jobs in the store are trusted. Use it when signing begins, or to
    sign jobs anew after a change of the key. Without keys, signatures are removed.

    With *encryption_keys*, all is decrypted with whichever fits, and encrypted with the first. Then
    a store that is signed is refused with a StorageError unless its key is among *signing_keys*,
    and one with encrypted jobs unless some of them can be decrypted.
    """
    store, signer = _existing(path), Signer(signing_keys, cipher_of(encryption_keys))
    with _exclusively_locked(store) as lock:
        env = open_environment(store, lock=lock, signer=Signer(signing_keys))
        try:
            _refuse_living_nodes(env)
            return reseal_all(env, signer)
        finally:
            env.close()


# ---- of a store that is open ----------------------------------------------------------------


def findings(env: Environment, signing_keys: Sequence[bytes] = ()) -> list[str]:
    """Read all tables of an open store and return what is wrong with them, a sentence each."""
    return env.inspect(lambda txn: verify_tables(txn, env.tables, Signer(signing_keys)))


def copy_to(env: Environment, target: str | os.PathLike[str]) -> Path:
    """Write a copy of an open store to the new directory *target*, and return its path."""
    with atomic_directory(real(target)) as directory:
        env.copy(directory)
    with suppress(StorageError):  # the copy is there, whether that can be noted or not
        upkeep.note_in(env, upkeep.BACKED_UP, text=escaped(str(target)))
    return Path(target)


# ---- in common ------------------------------------------------------------------------------


def _existing(path: str | os.PathLike[str]) -> Path:
    store = real(path)
    with in_words(store):
        if not (store / DATA_FILE).exists():
            raise StorageError(f"there is no store in {store}")
    return store


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Environment]:
    """Yield the store's LMDB environment that this process has open, or open it for the block."""
    store = _existing(path)
    env = open_stores.opened(store)
    if env is not None:
        yield env
        return
    env = open_environment(store, migrate=False)
    try:
        yield env
    finally:
        env.close()


@contextmanager
def _exclusively_locked(store: Path) -> Iterator[StoreLock]:
    if open_stores.opened(store) is not None:
        raise StorageError(f"{store} is open in this process; stop the AntQ that has it first")
    lock = StoreLock(store, exclusive=True)
    try:
        yield lock
    finally:
        lock.release()


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Make a directory that is renamed to *target* if the block succeeds, else deleted."""
    with in_words(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise StorageError(f"{target} exists and is no empty directory; give another path")
        target.parent.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}-", dir=target.parent))
    try:
        yield directory
        for file in directory.iterdir():
            file.chmod(0o600)
            _sync(file)
        _sync(directory)
        directory.replace(target)
        _sync(target.parent)
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _walk_if_unused(store: Path) -> list[str]:
    """Read a store's pages and return what is wrong with them; nothing if it is open elsewhere."""
    try:
        lock = StoreLock(store, exclusive=True)
    except StorageError:
        return []
    try:
        return file_check.walk(store)
    finally:
        lock.release()


def _damaged_backup(backup: Path, findings: list[str]) -> StorageError:
    return StorageError(
        f"the backup in {backup} is damaged and was not restored: {findings[0]}"
        f" ({len(findings)} findings; `antq verify --path {backup}` shows them)"
    )


def _refuse_living_nodes(env: Environment) -> None:
    """Raise StorageError if a node of the store lives, by its file lock.

    It is of a release that does not know the store's own lock.
    """
    for node in read(env, lambda reader: reader.nodes()):
        if not node_lock.is_dead(env.path, node):
            raise StorageError(
                f"node {node} of {env.path} runs, and this needs the store alone: stop the"
                " applications that use it, then repeat this"
            )


def _give_back(env: Environment, now: Instant) -> None:
    """Enqueue again the jobs that ran when a store was copied, and delete its nodes."""

    def give_back(store: JobStore) -> None:
        for node in store.nodes():
            store.settle_all(node=node, outcome=GivenBack(), now=now)
            store.remove_node(node)

    write(env, give_back)


def _copy_file(source: Path, target: Path) -> None:
    with in_words(target):
        shutil.copyfile(source, target)


def _sync(path: Path) -> None:
    """Flush a file, or the entries of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def __dir__() -> list[str]:
    return shown(globals())
