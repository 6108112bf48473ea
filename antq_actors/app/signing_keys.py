"""The keys that jobs are signed and encrypted with: from a file or the environment, not from code.

A key is any text of 32 characters or more; ``python -c "import secrets;
print(secrets.token_urlsafe(32))"`` makes one. Of several, one a line, the first signs and all are
accepted.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

VARIABLE: Final = "ANTQ_SIGNING_KEYS"
_SHORTEST: Final = 32


class KeyKind(NamedTuple):
    """What keys are for."""

    name: str
    variable: str
    """Of the environment."""
    risk: str
    """What who has one can do."""


SIGNING: Final = KeyKind("signing", VARIABLE, "run code as you")
ENCRYPTION: Final = KeyKind("encryption", "ANTQ_ENCRYPTION_KEYS", "read what is encrypted")
"""Of these, the first encrypts and all decrypt."""


class KeyText:
    """The text of a variable with keys, for another process; it is shown nowhere."""

    __slots__ = ("_text", "_variable")

    def __init__(self, text: str, variable: str = VARIABLE) -> None:
        self._text = text
        self._variable = variable

    def __repr__(self) -> str:
        return "<keys>"

    def put_into_environment(self) -> None:
        """Set the variable, for this process and those that it starts."""
        os.environ[self._variable] = self._text


def of_environment(variable: str = VARIABLE) -> KeyText | None:
    """Return the text of a variable of the environment with keys, if it is set."""
    return KeyText(os.environ[variable], variable) if variable in os.environ else None


def load(
    file: Path | None, environ: Mapping[str, str] | None = None, *, kind: KeyKind = SIGNING
) -> tuple[bytes, ...]:
    """Read the keys in *file*, without one those in the variable of their *kind*; else none.

    Raises ConfigError for a file that cannot be read or that others can read, and for a key that
    is too short. No error contains a key, also where one was given in the place of a file's name.
    """
    if file is not None:
        return _keys(_private_text(file, kind), str(file), kind)
    name = kind.variable
    if environ is None:  # in no variable here: tools that show them would show the keys
        return _keys(os.environ[name], name, kind) if name in os.environ else ()
    return _keys(environ[name], name, kind) if name in environ else ()


def _private_text(file: Path, kind: KeyKind) -> str:
    if not os.path.exists(file):  # noqa: PTH110 - whatever the text of it, this raises nothing
        raise ConfigError(_no_such_file(file, kind))
    try:
        _check_private(file, kind)
        return file.read_text(encoding="utf-8")
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        problem = "it is no text in UTF-8"
    # Raised here, without the first error: one of UTF-8 has all that was read.
    raise ConfigError(f"cannot read the {kind.name} keys in {file}: {problem}")


def _check_private(file: Path, kind: KeyKind) -> None:
    mode = file.stat().st_mode
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"others can read or write the {kind.name} keys in {file} (mode"
            f" {stat.S_IMODE(mode):03o}), and who has one can {kind.risk}; chmod 600 {file}"
        )


def _no_such_file(file: Path, kind: KeyKind) -> str:
    """Return the error about a missing key file, with its name only where that can be no key."""
    there = next((str(each) for each in file.parents if os.path.isdir(each)), "")  # noqa: PTH112 - as above
    if there == str(file.parent) and len(file.name) < _SHORTEST:
        return f"cannot read the {kind.name} keys in {file}: there is no such file"
    return (
        f"cannot read the {kind.name} keys: there is no such file below {there!r}. Its name is not"
        " shown, because it could be a key; give the name of a file with the keys, or the keys"
        f" themselves in the environment as {kind.variable}"
    )


def _keys(text: str, where: str, kind: KeyKind) -> tuple[bytes, ...]:
    lines = [line.strip() for line in text.splitlines()]
    keys = tuple(
        line.encode("utf-8", "surrogateescape")
        for line in lines
        if line and not line.startswith("#")
    )
    problem = _problem([len(key) for key in keys], where, kind)
    if problem:
        del text, lines, keys  # some tools show the variables of the frames of a traceback
        raise ConfigError(problem)
    return keys


def _problem(lengths: Sequence[int], where: str, kind: KeyKind) -> str:
    if not lengths:
        return f"there is no {kind.name} key in {where}; write one a line, the newest first"
    for number, length in enumerate(lengths, start=1):
        if length < _SHORTEST:
            return (
                f"key {number} in {where} has {length} characters, and each {kind.name} key needs"
                f" {_SHORTEST}; make one with"
                ' python -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
    return ""
