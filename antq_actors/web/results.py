"""What verbs found out, kept for the page that they lead to: too much for a URL.

The last ones are kept, in this process; a page without its result shows the rest.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from threading import Lock
from typing import Any, Final

MOST_KEPT: Final = 64


class Results:
    """The results of the last verbs, by tokens that nobody guesses.

    >>> results = Results()
    >>> results.get(results.put(7)), results.get("x"), results.get(None)
    (7, None, None)
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, result: Any) -> str:
        """Keep a result, and return the token by which it is found."""
        token = secrets.token_urlsafe(12)
        with self._lock:
            self._kept[token] = result
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return token

    def get(self, token: str | None) -> Any:
        """Return the result of a token; None: there is none, or it is not kept any more."""
        with self._lock:
            return None if token is None else self._kept.get(token)
