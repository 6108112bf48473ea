"""Is the file of a store whole? Asked before LMDB maps it, since a map does not raise.

A page that the file has not, because it was cut short by a copy or a file system's repair, ends
the interpreter with SIGBUS when it is touched, and so does a root that points anywhere. Both meta
pages are read here as LMDB reads them, and what they promise is compared with the file: a few
small reads, however large it is, and the list of free pages if it is short.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from antq_actors.storage.lmdb.directory import damaged, storage_error
from antq_actors.storage.locks import store_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC: Final = 0xBEEFC0DE
_DATA_VERSION: Final = 1
"""Of LMDB 0.9, which makes the files; one of another version is for LMDB to refuse."""
_HEADER: Final = struct.Struct("=QHHHH")  # page number, padding, flags, lower, upper
_META: Final = struct.Struct("=IIQQ 48s 48s QQ")  # magic, version, address, size, two trees, …
_TREE: Final = struct.Struct("=IHHQQQQQ")  # page size, flags, depth, three counts, entries, root
_NODE: Final = struct.Struct("=HHHH")  # two halves of the value's size or page, flags, key's size
_NUMBER: Final = struct.Struct("=Q")
_IS_BRANCH, _IS_LEAF, _IS_META = 1, 2, 8
_IS_BIG: Final = 1
_NO_ROOT: Final = 2**64 - 1
_DEEPEST: Final = 32
_PAGE_SIZES: Final = tuple(2**n for n in range(9, 16))
_TRIES: Final = 3
_PAUSE: Final = 0.02


class _Meta(NamedTuple):
    """What a meta page says of a committed state of the file."""

    page_size: int
    trees: tuple[tuple[int, int], tuple[int, int]]
    """Depth and root of the tree of free pages, and of the tree of tables."""
    last_page: int
    transaction: int


class _Damage(Exception):
    """What is wrong with a file."""


def check(directory: Path) -> None:
    """Read the meta pages of a store's data file; raise StorageError if LMDB cannot map it."""
    file = directory / "data.mdb"
    if sys.maxsize < 2**32 or not file.exists():
        return  # another layout, and little to be mapped; or nothing
    for tries_left in reversed(range(_TRIES)):
        try:
            with file.open("rb") as data:
                _examine(data, directory)
        except _Damage as damage:
            if not tries_left:
                raise damaged(directory, str(damage)) from None
            time.sleep(_PAUSE)  # another process may have been writing just what was read
        except OSError as error:
            raise storage_error(error, directory) from error
        else:
            return


def _examine(data: BinaryIO, directory: Path) -> None:
    if not os.fstat(data.fileno()).st_size:
        return  # LMDB makes it
    first = _meta(data, 0)
    if first is None:
        return
    if first.page_size not in _PAGE_SIZES:
        raise _Damage(f"its meta page 0 tells of pages of {first.page_size} bytes")
    second = _meta(data, first.page_size)
    if second is None:
        return
    if second.page_size != first.page_size:
        raise _Damage("its two meta pages tell of pages of different sizes")
    newer = max(first, second, key=lambda meta: meta.transaction)
    _examine_end(data, newer, directory)
    for depth, root in newer.trees:
        _examine_root(data, newer, depth, root)


def _meta(data: BinaryIO, offset: int) -> _Meta | None:
    """Read an LMDB meta page at *offset* of the file; None: its format is for LMDB to refuse."""
    page = _read(data, offset, _HEADER.size + _META.size)
    if len(page) < _HEADER.size + _META.size:
        raise _Damage(f"it ends after {offset + len(page)} bytes, in the middle of its meta pages")
    flags = _HEADER.unpack_from(page)[2]
    magic, version, _, _, free, main, last_page, number = _META.unpack_from(page, _HEADER.size)
    if magic != _MAGIC or not flags & _IS_META:
        raise _Damage(f"there is no meta page at byte {offset}")
    if version != _DATA_VERSION:
        return None
    page_size, _, free_depth, *_, free_root = _TREE.unpack(free)
    _, _, main_depth, *_, main_root = _TREE.unpack(main)
    trees = (free_depth, free_root), (main_depth, main_root)
    return _Meta(page_size, trees, last_page, number)


def _examine_root(data: BinaryIO, meta: _Meta, depth: int, root: int) -> None:
    if root == _NO_ROOT:
        return
    if not 1 < root <= meta.last_page or depth > _DEEPEST:
        raise _Damage(f"the root of a tree is page {root} of {meta.last_page + 1}")
    header = _read(data, root * meta.page_size, _HEADER.size)
    if len(header) == _HEADER.size:
        number, _, flags, lower, upper = _HEADER.unpack(header)
        is_tree = number == root and flags in {_IS_BRANCH, _IS_LEAF}
        if is_tree and _HEADER.size <= lower <= upper <= meta.page_size:
            return
    raise _Damage(f"page {root}, the root of a tree, is none")


def _examine_end(data: BinaryIO, meta: _Meta, directory: Path) -> None:
    size = os.fstat(data.fileno()).st_size  # read after the meta pages: it only grows
    pages = size // meta.page_size
    if pages > meta.last_page:
        return
    # LMDB does not write a page that was used and freed in one transaction, so a sound file may
    # lack free pages at its end. Beside a writer, who has it mapped, the list of them may change
    # while it is read, and tells nothing.
    if store_lock.is_open_elsewhere(directory):
        return
    missing = meta.last_page + 1 - pages
    try:
        free = {page for page in _free_pages(data, meta) if pages <= page <= meta.last_page}
    except (_Damage, struct.error):  # the list itself is missing, or a part of it
        free = set()
    if len(free) < missing:
        raise _Damage(f"it ends after {pages} of {meta.last_page + 1} pages")


def _free_pages(data: BinaryIO, meta: _Meta) -> Iterator[int]:
    """Yield the numbers of the free pages of a data file, read from LMDB's tree of them."""
    (depth, root), _ = meta.trees
    level = [] if root == _NO_ROOT else [root]
    for _ in range(min(depth, _DEEPEST) - 1):
        level = [
            low | high << 16 | top << 32
            for page in level
            for low, high, top, _, _ in _nodes(data, meta, page, _IS_BRANCH)
        ]
    for leaf in level:
        for low, high, flags, key_size, node in _nodes(data, meta, leaf, _IS_LEAF):
            value = node[key_size:]
            if flags & _IS_BIG:
                (page,) = _NUMBER.unpack_from(value)
                value = _read(data, page * meta.page_size + _HEADER.size, low | high << 16)
            count, *_ = _NUMBER.unpack_from(value)
            for number in range(1, count + 1):
                yield from _NUMBER.unpack_from(value, number * _NUMBER.size)


def _nodes(
    data: BinaryIO, meta: _Meta, page: int, kind: int
) -> Iterator[tuple[int, int, int, int, bytes]]:
    """Yield the nodes of an LMDB page: two halves of a size, flags, key size, key and value."""
    content = _read(data, page * meta.page_size, meta.page_size)
    _, _, flags, lower, _ = _HEADER.unpack_from(content)
    if flags != kind:
        raise _Damage(f"page {page} of the tree of free pages is of another kind")
    for at in range(_HEADER.size, lower, 2):
        offset = int.from_bytes(content[at : at + 2], sys.byteorder)
        fields = _NODE.unpack_from(content, offset)
        yield *fields, content[offset + _NODE.size :]


def walk(directory: Path) -> list[str]:
    """Read all pages of a store's data file, and return what is wrong with them.

    No process may be writing to the store. This reads everything, a second for 100,000 jobs, but
    maps nothing, so that no damage can end the interpreter. That is too long for each start: damage
    within a table shows when LMDB comes to it.
    What it does not see, a large value whose end the file lacks, :func:`check` does.
    """
    from lmdb.verify import VerifyError, verify  # noqa: PLC0415 - no program that runs jobs needs it

    try:
        findings: list[str] = verify(str(directory))  # type: ignore[no-untyped-call]
    except VerifyError as error:
        return [str(error)]
    except OSError as error:
        raise storage_error(error, directory) from error
    return findings


def _read(data: BinaryIO, offset: int, size: int) -> bytes:
    data.seek(offset)
    return data.read(size)
