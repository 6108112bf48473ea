"""A machine that reads a pickle as a description, whoever wrote it.

It knows the opcodes that Python 3 writes. It imports nothing and calls nothing but the makers of
plain data, and it hashes only what ``showable.KeyCheck`` allows. What it does is bounded by the
size of the pickle and, since a reference of two bytes can ask for the same costly step over and
over, by a budget.

The bytes of a pickle, and the leaves that are written in them.
"""

from __future__ import annotations

import collections
import struct
import sys
import uuid
from typing import TYPE_CHECKING, Any, ClassVar, Final

from antq_actors.errors import StorageError
from antq_actors.storage.format.plain import makers
from antq_actors.storage.format.plain.makers import (
    LONGEST_NUMBER,
    Opaque,
    class_name,
    cost_of_call,
    meant,
    result_of_call,
)
from antq_actors.storage.format.plain.showable import TOO_MANY_STEPS, KeyCheck

if TYPE_CHECKING:
    from collections.abc import Callable

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
        """Read an unsigned number of *size* bytes from the pickle."""
        start = self.at
        self.at = end = start + size
        return int.from_bytes(self.bytes[start:end], "little")

    def signed(self, size: int) -> int:
        """Read a signed number of *size* bytes from the pickle."""
        return int.from_bytes(self._take(size), "little", signed=True)

    def long(self, size: int) -> Any:
        """Read a long number from the pickle; *size* is how many bytes its length takes."""
        digits = self._take(self.number(size))
        if len(digits) > _WORD:
            limit = sys.get_int_max_str_digits() or LONGEST_NUMBER
            if len(digits) * _DIGITS_PER_BYTE > limit:
                return Opaque(f"int of {len(digits)} bytes, which is too long to print")
            self.longest = max(self.longest, limit)
        return int.from_bytes(digits, "little", signed=True)

    def float(self, size: int) -> float:
        """Read a float of eight bytes from the pickle."""
        value: float = struct.unpack(">d", self._take(size))[0]
        return value

    def text(self, size: int) -> str:
        """Read a text from the pickle; *size* is how many bytes its length takes."""
        return str(self.data(size), "utf-8", "surrogatepass")

    def data(self, size: int) -> bytes:
        """Read bytes from the pickle; *size* is how many bytes their length takes."""
        data = self._take(self.number(size))
        self.longest = max(self.longest, len(data))
        return data

    def array(self, size: int) -> bytearray:
        """Read a bytearray from the pickle; *size* is how many bytes its length takes."""
        return bytearray(self.data(size))

    def line(self) -> str:
        """Read a text from the pickle up to the next line feed."""
        end = self.bytes.index(b"\n", self.at)
        line = self._take(end - self.at)
        self.at += 1
        return line.decode()

    def _take(self, size: int) -> bytes:
        start = self.at
        self.at = end = start + size
        return self.bytes[start:end]


BUDGET: Final = 4_000_000
"""What all steps may cost together, in about 100 ns or 20 bytes each."""

_BLOCK: Final = 64
_CONTAINER_COST: Final = 4

# What costs more may make a leaf of more than SHORT characters: a path, a decimal.
_LONG_CALL: Final = 12

_STOP: Final = ord(".")
_MEMOIZE: Final = 0x94
_SHORT_BINUNICODE: Final = 0x8C
_BINGET: Final = ord("h")
_BININT1: Final = ord("K")
_TUPLE1: Final = 0x85
_TUPLE2: Final = 0x86
_SHORT_BINBYTES: Final = ord("C")


class Machine:
    """Reads one pickle."""

    __slots__ = ("_budget", "_keys", "_memo", "_outer", "_stack", "_tape")

    def __init__(self, pickled: bytes) -> None:
        self._tape = Tape(pickled)
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._keys = KeyCheck(BUDGET)
        self._budget = BUDGET

    def longest_text(self) -> int:
        """Return how many characters the longest leaf read from the pickle can be shown with."""
        return max(self._tape.longest, self._keys.longest)

    def read(self) -> Any:
        """Return the value that the pickle describes, executing nothing. Raises StorageError.

        Its containers may hold each other in any way, also themselves.
        """
        try:
            while self._budget > self._keys.cost:
                if self._run_block():
                    return self._stack.pop()
        except StorageError as error:
            raise StorageError(f"{error}, at byte {self._tape.at}") from error
        except KeyError as error:
            raise StorageError(
                f"unknown opcode or reference {error}, at byte {self._tape.at}"
            ) from error
        except (IndexError, ValueError, struct.error) as error:
            raise StorageError(f"damaged at byte {self._tape.at}: {error}") from error
        raise StorageError(TOO_MANY_STEPS)

    def _run_block(self) -> bool:
        """Interpret the next opcodes of the pickle; return whether its end is reached."""
        pickled, memo = self._tape.bytes, self._memo
        stack, at = self._stack, self._tape.at
        self._budget -= _BLOCK
        for _ in range(_BLOCK):
            opcode = pickled[at]
            at += 1
            # Those that are most of every pickle do not wait for a method.
            if opcode == _MEMOIZE:
                memo[len(memo)] = stack[-1]
            elif opcode == _SHORT_BINUNICODE:
                start = at + 1
                at = start + pickled[at]
                stack.append(str(pickled[start:at], "utf-8", "surrogatepass"))
            elif opcode == _BINGET:
                stack.append(memo[pickled[at]])
                at += 1
            elif opcode == _BININT1:
                stack.append(pickled[at])
                at += 1
            elif opcode == _TUPLE2:
                last = stack.pop()
                stack[-1] = (stack[-1], last)
            elif opcode == _TUPLE1:
                stack[-1] = (stack[-1],)
            elif opcode == _SHORT_BINBYTES:
                start = at + 1
                at = start + pickled[at]
                stack.append(pickled[start:at])
            elif opcode == _STOP:
                return True
            else:
                self._tape.at = at
                step, argument = self._STEPS[opcode]
                step(self, argument)
                stack, at = self._stack, self._tape.at
        self._tape.at = at
        return False

    # The stack and the memo.

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _push_read(self, leaf: tuple[Callable[[Tape, int], Any], int]) -> None:
        read, size = leaf
        self._stack.append(read(self._tape, size))

    def _skip(self, size: int) -> None:
        self._tape.at += size

    def _mark(self, _: Any) -> None:
        self._budget -= _CONTAINER_COST
        self._outer.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._outer.pop()
        return items

    def _pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _put(self, size: int) -> None:
        self._memo[self._tape.number(size)] = self._stack[-1]

    def _get(self, size: int) -> None:
        self._stack.append(self._memo[self._tape.number(size)])

    # Containers.

    def _push_empty(self, kind: Callable[[], Any]) -> None:
        self._budget -= _CONTAINER_COST
        self._stack.append(kind())

    def _tuple_of_three(self, _: Any) -> None:
        stack = self._stack
        last, middle = stack.pop(), stack.pop()
        stack[-1] = (stack[-1], middle, last)

    def _tuple_since_mark(self, _: Any) -> None:
        self._budget -= _CONTAINER_COST
        items = self._since_mark()
        self._stack.append(tuple(items))

    def _frozenset_since_mark(self, _: Any) -> None:
        self._budget -= _CONTAINER_COST
        items = self._since_mark()
        self._stack.append(frozenset(self._keys.hashable(items)))

    def _append(self, _: Any) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is list or type(target) is collections.deque:
            target.extend(items)
        else:
            _leave_out(target)

    def _set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key], [value])

    def _set_items(self, _: Any) -> None:
        items = self._since_mark()
        self._update(items[::2], items[1::2])

    def _update(self, keys: list[Any], values: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is dict or type(target) is collections.OrderedDict:
            target.update(zip(self._keys.hashable(keys, target), values, strict=True))
        else:
            _leave_out(target)

    def _add_items(self, _: Any) -> None:
        items = self._since_mark()
        target = self._stack[-1]
        if type(target) is set:
            target.update(self._keys.hashable(items, target))
        else:
            _leave_out(target)

    # What is named, called and filled in.

    def _name_on_lines(self, _: Any) -> None:
        module = self._tape.line()
        self._stack.append(meant(module, self._tape.line()))

    def _name_on_stack(self, _: Any) -> None:
        name = self._stack.pop()
        self._stack.append(meant(self._stack.pop(), name))

    def _name_by_code(self, size: int) -> None:
        self._stack.append(Opaque(f"copyreg extension {self._tape.number(size)}"))

    def _call(self, _: Any) -> None:
        args = self._stack.pop()
        called = self._stack.pop()
        if type(args) is not tuple:
            raise StorageError("it calls with what is no tuple")
        cost = cost_of_call(called, args)
        self._budget -= cost
        if cost > _LONG_CALL:
            self._tape.longest = max(self._tape.longest, makers.LONGEST_NUMBER)
        self._stack.append(result_of_call(called, args))

    def _instantiate(self, _: Any) -> None:
        if self._stack[-2] is uuid.UUID:
            self._budget -= _CONTAINER_COST
            self._stack[-2:] = [makers.empty_uuid()]
        else:
            self._call(None)

    def _instantiate_with_keywords(self, _: Any) -> None:
        self._stack.pop()
        self._instantiate(None)

    def _fill_in(self, _: Any) -> None:
        """Do pickle's opcode BUILD for a UUID; drop the state of all other objects."""
        state = self._stack.pop()
        made = self._stack[-1]
        if type(made) is uuid.UUID:
            try:
                makers.fill_uuid(made, state)
            except Exception:  # noqa: BLE001 - as makers do
                self._stack[-1] = class_name(uuid.UUID)

    _STEPS: ClassVar[dict[int, tuple[Callable[[Machine, Any], None], Any]]] = {
        0x80: (_skip, 1),  # PROTO
        0x95: (_skip, 8),  # FRAME
        ord("N"): (_push, None),
        0x88: (_push, True),
        0x89: (_push, False),
        ord(")"): (_push, ()),
        ord("M"): (_push_read, (Tape.number, 2)),  # BININT2
        ord("J"): (_push_read, (Tape.signed, 4)),  # BININT
        0x8A: (_push_read, (Tape.long, 1)),  # LONG1
        0x8B: (_push_read, (Tape.long, 4)),  # LONG4
        ord("G"): (_push_read, (Tape.float, 8)),  # BINFLOAT
        ord("X"): (_push_read, (Tape.text, 4)),  # BINUNICODE
        0x8D: (_push_read, (Tape.text, 8)),  # BINUNICODE8
        ord("B"): (_push_read, (Tape.data, 4)),  # BINBYTES
        0x8E: (_push_read, (Tape.data, 8)),  # BINBYTES8
        0x96: (_push_read, (Tape.array, 8)),  # BYTEARRAY8
        ord("("): (_mark, None),
        ord("0"): (_pop, None),
        ord("1"): (_pop_mark, None),
        ord("q"): (_put, 1),  # BINPUT
        ord("r"): (_put, 4),  # LONG_BINPUT
        ord("j"): (_get, 4),  # LONG_BINGET
        ord("]"): (_push_empty, list),
        ord("}"): (_push_empty, dict),
        0x8F: (_push_empty, set),
        0x87: (_tuple_of_three, None),
        ord("t"): (_tuple_since_mark, None),
        0x91: (_frozenset_since_mark, None),
        ord("a"): (_append, None),
        ord("e"): (_appends, None),
        ord("s"): (_set_item, None),
        ord("u"): (_set_items, None),
        0x90: (_add_items, None),
        ord("c"): (_name_on_lines, None),  # GLOBAL
        0x93: (_name_on_stack, None),  # STACK_GLOBAL
        0x82: (_name_by_code, 1),  # EXT1
        0x83: (_name_by_code, 2),  # EXT2
        0x84: (_name_by_code, 4),  # EXT4
        ord("R"): (_call, None),  # REDUCE
        0x81: (_instantiate, None),  # NEWOBJ
        0x92: (_instantiate_with_keywords, None),  # NEWOBJ_EX
        ord("b"): (_fill_in, None),  # BUILD
    }
    """What each opcode does. Those of protocols 0 and 1, persistent ids and out-of-band buffers are
    not here: nobody who stores arguments writes them.
    """


def _leave_out(target: Any) -> None:
    """Drop what a pickle would put into an object that is not made; else raise StorageError."""
    if type(target) is not Opaque:
        raise StorageError(f"it fills in a {type(target).__name__}")
