"""Arguments that belong to this process, or are broken: refused, although they can be pickled."""

# ruff: noqa: SIM115 - open files are what is refused

import asyncio
import concurrent.futures
import datetime as dt
import gzip
import io
import multiprocessing
import socket
import sqlite3
import struct
import sys
import tempfile
import threading
import weakref
import zoneinfo
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from antq_actors import AntQ
from antq_actors.storage.format import encoding


@dataclass
class Cart:
    items: Any


class RaisingZone(dt.tzinfo):
    def utcoffset(self, when):
        raise ZeroDivisionError("no offset")


class NonsenseZone(dt.tzinfo):
    def utcoffset(self, when):
        return 5


class UnmakeableZone(dt.tzinfo):
    def __init__(self, hours):
        self._hours = hours

    def utcoffset(self, when):
        return dt.timedelta(hours=self._hours)


def zone_from_a_file():
    return zoneinfo.ZoneInfo.from_file(io.BytesIO(ZONE_DATA))


# A zone of version 1 with one offset, +00:00, called UTC.
ZONE_DATA = (
    b"TZif"
    + bytes(16)
    + struct.pack(">6I", 0, 0, 0, 0, 1, 4)
    + struct.pack(">iBB", 0, 0, 0)
    + b"UTC\0"
)


@pytest.mark.parametrize(
    "zone",
    [RaisingZone(), NonsenseZone(), UnmakeableZone(1), dt.tzinfo(), zone_from_a_file()],
    ids=["raises", "nonsense", "unmakeable", "bare", "from a file"],
)
@pytest.mark.parametrize("inside", [lambda at: at, lambda at: [{"at": at}], Cart])
def test_a_time_with_a_broken_zone_is_refused_by_its_name(zone, inside):
    value = inside(dt.datetime(2026, 1, 1, tzinfo=zone))

    with pytest.raises(TypeError, match=r"the argument 'when' .* its time zone is broken"):
        encoding.encode_args({"n": 1, "when": value})


def test_a_time_in_a_zone_of_a_function_is_carried():
    class Zone(dt.tzinfo):
        def utcoffset(self, when):
            return dt.timedelta(hours=2)

    moment = dt.datetime(2026, 1, 1, tzinfo=Zone())

    loaded = encoding.load_args(encoding.encode_args({"at": moment, "all": [moment]}))

    assert loaded["at"] == moment
    assert loaded["all"][0].utcoffset() == dt.timedelta(hours=2)


def opened(mode):
    return lambda folder: (folder / "file").open(mode)


BOUND = {
    "text": opened("w+"),
    "bytes": opened("wb+"),
    "written": opened("w"),
    "gzip": lambda folder: gzip.open(folder / "file", "wb"),
    "temporary": lambda folder: tempfile.TemporaryFile(dir=folder),
    "named": lambda folder: tempfile.NamedTemporaryFile(dir=folder),
    "spooled": lambda folder: tempfile.SpooledTemporaryFile(dir=folder),
    "folder": lambda folder: tempfile.TemporaryDirectory(dir=folder),
    "standard output": lambda folder: sys.__stdout__,
    "socket": lambda folder: socket.socket(),
    "connection": lambda folder: Ends(*multiprocessing.Pipe()),
    "database": lambda folder: sqlite3.connect(":memory:"),
    "generator": lambda folder: (n for n in ()),
    "thread": lambda folder: threading.Thread(),
    "event": lambda folder: threading.Event(),
    "awaited event": lambda folder: asyncio.Event(),
    "awaited queue": lambda folder: asyncio.Queue(),
    "future": lambda folder: concurrent.futures.Future(),
    "weak reference": lambda folder: weakref.ref(Cart),
    "application": AntQ,
}


class Ends(NamedTuple):
    one: object
    other: object

    def close(self):
        self.one.close()
        self.other.close()


@pytest.mark.parametrize("make", BOUND.values(), ids=BOUND)
@pytest.mark.parametrize("inside", [lambda thing: thing, lambda thing: [Cart(thing)]])
def test_what_belongs_to_its_process_is_refused_as_an_argument(make, inside, tmp_path):
    thing = make(tmp_path)
    try:
        with pytest.raises(TypeError, match=r"the argument 'thing' .* cannot be pickled"):
            encoding.encode_args({"email": "jane@example.com", "thing": inside(thing)})
    finally:
        close = getattr(thing, "close", None) or getattr(thing, "cleanup", None)
        if close is not None and thing is not sys.__stdout__:
            close()


@pytest.mark.parametrize("thing", [io.BytesIO(b"content"), io.StringIO("content")])
def test_a_file_in_memory_is_carried(thing):
    loaded = encoding.load_args(encoding.encode_args({"file": thing}))

    assert loaded["file"].getvalue() == thing.getvalue()
