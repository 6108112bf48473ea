"""Waking many actors: a few at a time, so that they do not stand in each other's way.

A thread that wakes needs the interpreter, and until it has it, asks for it every few milliseconds.
When ten thousand ask, the processors do little else. So sleeping actors wake each other: whoever
has the interpreter wakes the next and then takes its message. None waits for what another one does
with its message, and one that is awake sees its own without being woken.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.otp.kernel.mailbox import Mailbox

AT_ONCE: Final = 4
"""How many are on their way at the same time."""


def wake_in_turn(mailboxes: Sequence[Mailbox]) -> None:
    """Wake the actors of *mailboxes* that sleep; in each waits something that did not wake it."""
    if len(mailboxes) <= AT_ONCE:
        for mailbox in mailboxes:
            mailbox.wake()
        return
    line = deque(mailboxes)

    def wake_next() -> None:
        with suppress(IndexError):
            while not line.popleft().wake(wake_next):
                pass

    for _ in range(AT_ONCE):
        wake_next()
