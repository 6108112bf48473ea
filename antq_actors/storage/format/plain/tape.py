"""The bytes of a pickle, and the leaves that are written in them."""

from __future__ import annotations

import struct
import sys
from typing import Any, Final

from antq_actors.storage.format.plain.makers import LONGEST_NUMBER
from antq_actors.storage.format.plain.opaque import Opaque

SHORT: Final = 512
"""Characters that any leaf may have, also a made one such as a datetime or an Opaque."""

_WORD: Final = 8
_DIGITS_PER_BYTE: Final = 2.40824


class Tape:
    """Reads values from the place it is at.

    A value that should go on behind the end is cut there. Who reads the opcode that has to follow
    finds none.
    """

    __slots__ = ("at", "bytes", "longest")

    def __init__(self, pickled: bytes) -> None:
        self.bytes = pickled
        self.at = 0
        self.longest = SHORT
        """How many characters the longest leaf read so far can be shown with."""

    def number(self, size: int) -> int:
        """Read a number of so many bytes."""
        start = self.at
        self.at = end = start + size
        return int.from_bytes(self.bytes[start:end], "little")

    def signed(self, size: int) -> int:
        """Read a number of so many bytes that may be negative."""
        return int.from_bytes(self._take(size), "little", signed=True)

    def long(self, size: int) -> Any:
        """Read a number whose length has so many bytes."""
        digits = self._take(self.number(size))
        if len(digits) > _WORD:
            limit = sys.get_int_max_str_digits() or LONGEST_NUMBER
            if len(digits) * _DIGITS_PER_BYTE > limit:
                return Opaque(f"int of {len(digits)} bytes, which is too long to print")
            self.longest = max(self.longest, limit)
        return int.from_bytes(digits, "little", signed=True)

    def float(self, size: int) -> float:
        """Read a float of eight bytes."""
        value: float = struct.unpack(">d", self._take(size))[0]
        return value

    def text(self, size: int) -> str:
        """Read a text whose length has so many bytes."""
        return str(self.data(size), "utf-8", "surrogatepass")

    def data(self, size: int) -> bytes:
        """Read bytes whose length has so many bytes."""
        data = self._take(self.number(size))
        self.longest = max(self.longest, len(data))
        return data

    def array(self, size: int) -> bytearray:
        """Read the same as a bytearray."""
        return bytearray(self.data(size))

    def line(self) -> str:
        """Read up to the next line feed."""
        end = self.bytes.index(b"\n", self.at)
        line = self._take(end - self.at)
        self.at += 1
        return line.decode()

    def _take(self, size: int) -> bytes:
        start = self.at
        self.at = end = start + size
        return self.bytes[start:end]
