"""A question by pykka's own ``ask``, as a GenServer answers it."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from antq_actors.otp.kernel.mailbox import Mailbox


class ReplyTo:
    """Who asked by pykka's ``ask``; takes the place of a Call in ``from_``."""

    __slots__ = ("_answered", "_envelope", "_future", "_mailbox")

    def __init__(self, envelope: Envelope[Any], mailbox: Mailbox) -> None:
        self._envelope = envelope
        self._future: Any = envelope.reply_to
        self._mailbox = mailbox
        self._answered = False

    @property
    def request(self) -> Any:
        """What was asked."""
        return self._envelope.message

    def answer(self, value: Any, error: BaseException | None = None) -> bool:
        """Give the answer; False if there was one before."""
        self._answered = True
        try:
            if error is None:
                self._future.set(value)
            else:
                self._future.set_exception((type(error), error, error.__traceback__))
        except queue.Full:
            return False
        return True

    def keep_open(self) -> None:
        """Have the actor's end answer, unless someone does before."""
        self._mailbox.keep_open(self._envelope)
        if self._answered:  # by another thread, before this one noted that it is open
            self.forget()

    def forget(self) -> None:
        """Let the actor that took it forget it: it was answered."""
        self._mailbox.forget(self._envelope)
