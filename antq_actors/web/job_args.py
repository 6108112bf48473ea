"""Arguments of jobs as pages show them: short, whatever their size.

What is shown is bounded before it is made: of a text of ten megabytes no more is looked at than
what comes on the page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from markupsafe import escape

from antq_actors.insights.as_json import shown_leaf
from antq_actors.storage.format.cipher import SHOWN, Encrypted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antq_actors.insights.values import JobItem

LINE_CHARACTERS: Final = 100
"""Of the arguments of a job in a list."""
PAGE_BYTES: Final = 800_000
"""What the texts of the page of one job may take; the page itself stays below a megabyte."""
TEXT_CHARACTERS: Final = 400
"""Of a text in the arguments of a job."""
MOST_NODES: Final = 500
MOST_CHILDREN: Final = 100
MOST_LEVELS: Final = 24
OPEN_LEVELS: Final = 3
"""Arguments that are open at first; what is further in is folded."""
_NODE_BYTES: Final = 250
"""What a value takes beside its text."""
_LEAST_BYTES: Final = 2_000
_LEAF_CHARACTERS: Final = 60
_MOST_LEAVES: Final = 40
_MOST_LEVELS: Final = 8


Part = tuple[str, str]
"""A path of arguments, and what is there."""


def lines_of(items: Sequence[JobItem]) -> list[tuple[Part, ...]]:
    """Return the arguments of the jobs of a list, for a line each.

    First in a line is what distinguishes a job from the others of its worker.
    """
    leaves = [dict(_leaves(item.args, "", _MOST_LEVELS)) for item in items]
    by_worker: dict[str, list[dict[str, str]]] = defaultdict(list)
    for item, found in zip(items, leaves, strict=True):
        by_worker[item.worker].append(found)
    differing = {worker: _differing(several) for worker, several in by_worker.items()}
    return [
        tuple(_line(found, differing[item.worker]))
        for item, found in zip(items, leaves, strict=True)
    ]


def _differing(several: Sequence[Mapping[str, str]]) -> frozenset[str]:
    """Return the paths at which not all of *several* have the same."""
    first, *others = several
    paths = {path for each in several for path in each}
    return frozenset(
        path for path in paths if any(each.get(path) != first.get(path) for each in others)
    )


def _line(leaves: Mapping[str, str], differing: frozenset[str]) -> Iterator[Part]:
    """Yield as many arguments as a line has room for, those at the paths that differ first.

    >>> list(_line({"to": '"a"', "user.id": "7"}, frozenset({"user.id"})))
    [('user.id', '7'), ('to', '"a"')]
    """
    length = 0
    for path in sorted(leaves, key=lambda path: path not in differing):
        length += len(path) + len(leaves[path]) + 4
        yield path, leaves[path]
        if length > LINE_CHARACTERS:
            return


def _leaves(value: Any, path: str, levels: int) -> Iterator[tuple[str, str]]:
    """Yield the first leaves of arguments, each with its path, as they are shown on a line."""
    if isinstance(value, Encrypted) or not isinstance(value, Mapping) or not value or not levels:
        yield path, leaf(value)
        return
    count = 0
    for key, each in value.items():
        for found in _leaves(
            each, f"{path}.{key_text(key)}" if path else key_text(key), levels - 1
        ):
            yield found
            count += 1
            if count >= _MOST_LEAVES:
                return


def key_text(key: Any) -> str:
    """Return a key of a mapping as text, on one line."""
    return cut(key if isinstance(key, str) else leaf(key), _LEAF_CHARACTERS)


def leaf(value: Any) -> str:
    """Return a value on one line of bounded length, as JSON has it; of a collection, its size.

    >>> [leaf(each) for each in ("a b", None, [1, 2], {}, 1.5, True)]
    ['"a b"', 'null', '[2 items]', '{}', '1.5', 'true']
    """
    if isinstance(value, str):
        return f'"{cut(value, _LEAF_CHARACTERS)}"'
    return cut(scalar(value, _LEAF_CHARACTERS), _LEAF_CHARACTERS)


def scalar(value: Any, most: int) -> str:
    """Return a value that is no text, as JSON has it; of bytes the first *most* alone."""
    if isinstance(value, Encrypted):
        return SHOWN
    if isinstance(value, bytes | bytearray):
        return repr(bytes(value[:most]))
    if isinstance(value, Mapping):
        return sized("{}", "key", len(value))
    if isinstance(value, Sequence):
        return sized("[]", "item", len(value))
    return _WORDS[value] if value is None or isinstance(value, bool) else str(shown_leaf(value))


_WORDS: Final[Mapping[Any, str]] = {None: "null", True: "true", False: "false"}


def sized(brackets: str, unit: str, count: int) -> str:
    """Return a collection by its size alone.

    >>> sized("[]", "item", 1), sized("{}", "key", 2), sized("{}", "key", 0)
    ('[1 item]', '{2 keys}', '{}')
    """
    if not count:
        return brackets
    return f"{brackets[0]}{count:,} {unit}{'s' if count > 1 else ''}{brackets[1]}"


def cut(text: str, most: int) -> str:
    r"""Return a text on one line of at most *most* characters.

    >>> cut("one\n two", 20), cut("abcdef", 4)
    ('one two', 'abc…')
    """
    line = " ".join(text[: most * 2].split())
    is_whole = len(text) <= most * 2 and len(line) <= most
    return line if is_whole else line[: most - 1] + "…"


# ---- on the page of one job -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """A text, or the beginning of one."""

    text: str
    rest: int
    """Characters that are not shown."""
    path: str
    """What asks for all of it."""


@dataclass(slots=True)
class Budget:
    """How much text a page may still hold, and what was asked to be shown whole."""

    left: int = PAGE_BYTES
    whole: str | None = None

    def cut(self, text: str, most: int, path: str) -> Cut:
        """Return at most *most* characters of a text; as many as fit, where all were asked for."""
        limit = self.left if path == self.whole else min(most, self.left)
        shown = text[:limit]
        size = escaped_bytes(shown)
        while size > self.left:
            shown = shown[: len(shown) // 2]
            size = escaped_bytes(shown)
        self.left -= size
        return Cut(shown, len(text) - len(shown), path)

    def is_asked(self, path: str) -> bool:
        """Return whether all of what is at *path* was asked for, or of something in it."""
        return self.whole is not None and (self.whole + ".").startswith(path + ".")

    def whole_below(self, path: str) -> str:
        """Return which value in the one at *path* was asked for, by its number."""
        return (self.whole or "")[len(path) + 1 :].partition(".")[0]


def escaped_bytes(text: str) -> int:
    """Return how many bytes a text takes on a page."""
    return len(str(escape(text)).encode("utf-8", "replace"))


@dataclass(slots=True)
class Node:
    """A value of arguments, with those in it."""

    key: str | None
    """None: it is the whole."""
    kind: str
    """``text``, ``value``, or ``branch``."""
    shown: Cut
    """Of a branch, how large it is."""
    children: list[Node] = field(default_factory=list)
    rest: int = 0
    """Values in it that are not shown."""
    is_open: bool = True


def tree_of(value: Any, path: str, budget: Budget) -> Node:
    """Return arguments as a tree, as much of it as a page has room for."""
    return _Tree(budget).node(None, value, path, 0)


@dataclass(slots=True)
class _Tree:
    """What is made of a tree, and how many more values it may have."""

    budget: Budget
    room: int = MOST_NODES

    def node(self, key: str | None, value: Any, path: str, level: int) -> Node:
        """Return a value with as many of those in it as there is room for."""
        self.room -= 1
        if isinstance(value, str):
            return Node(key, "text", self.budget.cut(value, TEXT_CHARACTERS, path))
        items = _items(value)
        if items is None:
            text = scalar(value, TEXT_CHARACTERS)
            return Node(key, "value", self.budget.cut(text, TEXT_CHARACTERS, path))
        node = Node(key, "branch", Cut(scalar(value, 0), 0, path))
        is_asked = self.budget.is_asked(path)
        node.is_open = level < OPEN_LEVELS or is_asked
        for at, (name, each) in enumerate(islice(items, self._most(len(items), path, level))):
            if self.budget.left < _LEAST_BYTES or (self.room <= 0 and not is_asked):
                break
            self.budget.left -= _NODE_BYTES
            node.children.append(self.node(name, each, f"{path}.{at}", level + 1))
        node.rest = len(items) - len(node.children)
        return node

    def _most(self, count: int, path: str, level: int) -> int:
        """Return how many of the values in one are shown."""
        if self.budget.whole == path:
            return count
        if self.budget.is_asked(path):
            return max(MOST_CHILDREN, 1 + int(self.budget.whole_below(path)))
        return MOST_CHILDREN if level < MOST_LEVELS else 0


def _items(value: Any) -> Sequence[tuple[str, Any]] | None:
    """Return what is in a collection, by how it is called there; None: *value* is none."""
    if isinstance(value, Encrypted):
        return None
    if isinstance(value, Mapping):
        return [(key_text(key), each) for key, each in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [(str(at), each) for at, each in enumerate(value)]
    return None
