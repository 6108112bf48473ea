"""The errors of a job that is being performed: read when somebody looks.

Most attempts never look at what went wrong before, so none pays for it. `Job.errors` is a tuple all
the same: it is iterated, indexed, compared, added, copied and pickled as the tuple that is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from antq_actors.jobs.job import AttemptError

if TYPE_CHECKING:
    from collections.abc import Callable


class LateErrors(tuple[AttemptError, ...]):  # noqa: SLOT001 - no tuple can have any
    """Calls *read* the first time that anybody looks, and is what that returns from then on.

    What *read* raises goes to whoever looks, and the next look reads again.

    >>> from datetime import UTC, datetime
    >>> errors = LateErrors(lambda: (AttemptError(1, "no", None, datetime.now(UTC)),))
    >>> len(errors), errors[0].error
    (1, 'no')
    """

    _unread: Callable[[], tuple[AttemptError, ...]] | None
    _found: tuple[AttemptError, ...]

    def __init__(self, read: Callable[[], tuple[AttemptError, ...]]) -> None:
        self._unread = read
        self._found = ()

    def __new__(cls, _read: object) -> Self:
        """Make an empty tuple, whatever it will be."""
        return super().__new__(cls)

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        """Travel, and be copied, as what is read."""
        return tuple, (self.read(),)

    def __radd__(self, other: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return *other* and the errors after it."""
        return other + self.read()

    def read(self) -> tuple[AttemptError, ...]:
        """Return what is read, an ordinary tuple."""
        if self._unread is not None:
            self._found = self._unread()
            self._unread = None
        return self._found


def _of_tuple(name: str) -> Callable[..., Any]:
    """Return the method *name* of tuples, for what is read."""
    method = getattr(tuple, name)

    def of_what_is_read(self: LateErrors, *args: Any) -> Any:
        others = (each.read() if isinstance(each, LateErrors) else each for each in args)
        return method(self.read(), *others)

    of_what_is_read.__name__ = name
    return of_what_is_read


# By the C code of tuple itself they would see the empty one that this is made from.
for _name in (
    *("__len__", "__iter__", "__getitem__", "__contains__", "__hash__", "__repr__"),
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"),
    *("__add__", "__mul__", "__rmul__", "index", "count"),
):
    setattr(LateErrors, _name, _of_tuple(_name))
