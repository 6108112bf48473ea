"""Arguments of jobs as pages show them: short, whatever their size.

What is shown is bounded before it is made: of a text of ten megabytes no more is looked at than
what comes on the page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from antq_actors.insights.as_json import shown_leaf
from antq_actors.storage.format.cipher import SHOWN, Encrypted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antq_actors.insights.values import JobItem

LINE_CHARACTERS: Final = 100
"""Of the arguments of a job in a list."""
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
