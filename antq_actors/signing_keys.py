"""The keys that jobs are signed with: read from a file or from the environment, never from code.

A key is any text of 32 characters or more; ``python -c "import secrets;
print(secrets.token_urlsafe(32))"`` makes one. Of several, one a line, the first signs and all are
accepted.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from antq_actors.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLE: Final = "ANTQ_SIGNING_KEYS"
_SHORTEST: Final = 32


def load(file: Path | None, environ: Mapping[str, str] = os.environ) -> tuple[bytes, ...]:
    """Answer the keys in *file*; without one, those in ``ANTQ_SIGNING_KEYS``; else none.

    Raises ConfigError for a file that cannot be read or that others can read, and for a key that
    is too short.
    """
    if file is not None:
        return _keys(_private_text(file), str(file))
    return _keys(environ.get(VARIABLE, ""), VARIABLE) if VARIABLE in environ else ()


def _private_text(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the signing keys in {file}: {error}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"others can read or write the signing keys in {file} (mode"
            f" {stat.S_IMODE(mode):03o}), and who has one can run code as you; chmod 600 {file}"
        )
    return text


def _keys(text: str, where: str) -> tuple[bytes, ...]:
    lines = [line.strip() for line in text.splitlines()]
    keys = [
        line.encode("utf-8", "surrogateescape")
        for line in lines
        if line and not line.startswith("#")
    ]
    if not keys:
        raise ConfigError(f"there is no signing key in {where}; write one a line, the newest first")
    for number, key in enumerate(keys, start=1):
        if len(key) < _SHORTEST:
            raise ConfigError(
                f"key {number} in {where} has {len(key)} characters, and a signing key needs"
                f" {_SHORTEST}; make one with"
                ' python -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
    return tuple(keys)
