"""Blocking calls from coroutines.

asyncio takes about as long to import as everything else that a module of workers needs, and a
program that only enqueues from threads never needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Do what ``asyncio.to_thread`` does."""
    import asyncio  # noqa: PLC0415 - who awaits this has imported it

    return await asyncio.to_thread(function, *args, **kwargs)
