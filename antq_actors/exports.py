"""What `dir()`, and so an interactive session, shows of a public module: what is for its users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def shown(module: Mapping[str, Any], *more: str) -> list[str]:
    """Return the names in ``__all__`` of a *module*'s globals, *more*, and what Python sets there.

    >>> shown({"__all__": ["open"], "os": None, "__doc__": ""}, "errors")
    ['__all__', '__doc__', 'errors', 'open']
    """
    of_python = (name for name in module if name.startswith("__") and name.endswith("__"))
    return sorted({*module["__all__"], *more, *of_python})
