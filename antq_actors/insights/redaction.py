"""What is hidden of a job's texts before anything shows them.

A key that contains one of `SECRET_WORDS`, in any case, hides all below it. What remains goes
through the user's own ``redact(path, value)``, leaf by leaf.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from antq_actors.storage.format.cipher import Encrypted
from antq_actors.storage.format.display import Opaque

Redact: TypeAlias = Callable[[str, Any], Any]
"""Given a path such as "args.user.token" and the value there, returns what is shown instead."""

log: Final = logging.getLogger("antq_actors.insights")

REDACTED: Final = "<redacted>"
"""Stands for what is hidden."""

SECRET_WORDS: Final = (
    *("password", "passwd", "secret", "token", "authorization", "cookie", "credential"),
    *("apikey", "api_key", "private_key"),
)

_is_secret: Final = re.compile("|".join(SECRET_WORDS), re.IGNORECASE).search


class NotShown(Exception):
    """There is nothing at a path, or nothing that may be seen."""


class Redactor:
    """Hides what a key says is secret, and what *redact* hides beyond that.

    >>> Redactor().mapping("args", {"user": {"name": "Ann", "apiToken": 7}})
    {'user': {'name': 'Ann', 'apiToken': '<redacted>'}}
    """

    def __init__(self, redact: Redact | None = None) -> None:
        self._redact = redact
        self._has_logged = False

    def mapping(self, path: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return arguments, or what is kept beside them, as they are shown."""
        shown: Mapping[str, Any] = self._shown(path, value)
        return shown

    def text(self, path: str, value: str | None) -> Any:
        """Return the text of an error or a stack trace as it is shown; None stays None."""
        return None if value is None else self._leaf(path, value)

    def find(self, path: str, value: Mapping[str, Any], keys: Sequence[str]) -> Any:
        """Return what is below *keys* in a mapping, to compare. Raises NotShown.

        So it does for what is hidden, also in a part: who may not see it must not guess it, either.
        """
        found: Any = value
        for key in keys:
            if not isinstance(found, Mapping) or key not in found or _is_secret(key):
                raise NotShown
            found, path = found[key], f"{path}.{key}"
        if isinstance(found, Opaque | Encrypted) or self._shown(path, found) is not found:
            raise NotShown
        return found

    def _shown(self, path: str, value: Any) -> Any:
        """Return what is shown of *value*: itself if nothing is hidden."""
        if isinstance(value, Encrypted):
            return value
        if isinstance(value, Mapping):
            items = {key: self._below(path, key, each) for key, each in value.items()}
            return value if all(items[key] is value[key] for key in value) else items
        if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
            found = [self._shown(f"{path}.{at}", each) for at, each in enumerate(value)]
            is_whole = all(new is old for new, old in zip(found, value, strict=True))
            if is_whole:
                return value
            return tuple(found) if isinstance(value, tuple) else found
        return self._leaf(path, value)

    def _below(self, path: str, key: Any, value: Any) -> Any:
        if _is_secret(key if isinstance(key, str) else repr(key)):  # b"token", ("token", 1)
            return REDACTED
        return self._shown(f"{path}.{key}", value)

    def _leaf(self, path: str, value: Any) -> Any:
        if self._redact is None:
            return value
        try:
            shown = self._redact(path, value)
            return value if shown is value or _is_equal(shown, value) else shown
        except Exception:
            if not self._has_logged:  # a search may come by thousands of jobs
                self._has_logged = True
                log.exception("redact(%r, …) raised, so the value is shown as %s", path, REDACTED)
            return REDACTED


def _is_equal(shown: Any, value: Any) -> bool:
    """Return whether *redact* has returned what it was given; 1 is not True."""
    return type(shown) is type(value) and bool(shown == value)
