"""What is done in a block is noted in the audit, with who does it, to what and why.

Within ``with client.acting(action) as acting:`` each write of that client is wrapped, so that its
entry is in its own transaction. Only the code of the block does so, in whatever thread or coroutine
it runs; what else happens at the same time is not noted.
"""

from __future__ import annotations

import logging
import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from antq_actors.jobs.audit import AuditEntry
from antq_actors.jobs.instant import datetime_for_display
from antq_actors.storage.jobs import audited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextvars import Token
    from types import TracebackType

    from antq_actors.jobs.audit import Action
    from antq_actors.jobs.instant import Instant

log: Final = logging.getLogger("antq_actors.audit")

_TOKEN_BYTES: Final = 16

_acting: Final[ContextVar[Acting | None]] = ContextVar("antq_acting", default=None)


class Client(Protocol):
    """What an action writes by: the client of a store."""

    actions: set[Acting]

    def write_plainly(self, verb: Callable[..., Any], *args: Any) -> Any:
        """Have the storage actor do *verb*, which is not wrapped again."""


class Acting:
    """An action that is under way; the ``with`` block in which it is done."""

    def __init__(self, client: Client, action: Action, clock: Callable[[], Instant]) -> None:
        self._client = client
        self._action = action
        self._clock = clock
        self._number: int | None = None
        self._outer: Token[Acting | None] | None = None
        self.count = 0
        """How many things it has changed so far."""
        self._token: str | None = new_token()

    @property
    def undo(self) -> str | None:
        """What undoes it, for a while and once; None: it cannot be undone, or changed nothing."""
        return None if self._number is None else self._token

    def __enter__(self) -> Self:
        self._client.actions.add(self)
        self._outer = _acting.set(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._outer is not None:
            _acting.reset(self._outer)
        self._client.actions.discard(self)
        if self._number is not None:
            at = datetime_for_display(self._clock())
            name, verb, target, reason = self._action
            log_action(AuditEntry(at, name, verb, target, self.count, reason))

    def write(
        self, verb: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Do a verb of the store that belongs to it, as :meth:`.StorageClient.write` does."""
        done = self._client.write_plainly(audited.audited, self._entry(), verb, args, kwargs)
        self._number = done.number
        self.count += done.changed
        if not done.is_undoable:
            self._token = None
        return done.value

    def note(self, count: int = 1) -> None:
        """Note that it was done, though nothing has changed in the store."""
        self._number = self._client.write_plainly(audited.note_alone, self._entry(), count)
        self._token = None
        self.count += count

    def _entry(self) -> audited.Entry:
        return audited.Entry(self._action, self._clock(), self._number, self._token)

    def is_of(self, client: Client) -> bool:
        """Return whether it is about the store of this client."""
        return self._client is client


def new_token() -> str:
    """Return a token that undoes an action, which nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def log_action(entry: AuditEntry) -> None:
    """Log what was done by hand."""
    log.info(
        *("%s, target %r, count %d, by %r, reason %r", entry.verb, entry.target, entry.count),
        *(entry.name, entry.reason),
    )


def current(client: Client) -> Acting | None:
    """Return the action to which what is written now belongs; None: to none."""
    acting = _acting.get()
    return acting if acting is not None and acting.is_of(client) else None
