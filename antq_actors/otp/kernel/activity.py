"""What an actor is at: as its loop notes it, message by message, and as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pykka import ThreadingActor, messages
from pykka._envelope import Envelope

from antq_actors.otp.kernel.messages import Call, Cast, Continue, StopRequest

if TYPE_CHECKING:
    from antq_actors.otp.kernel.reasons import ExitReason


class Init(NamedTuple):
    """The actor runs ``init``."""


class Terminate(NamedTuple):
    """The actor runs ``terminate``."""

    reason: ExitReason


class Observer(Protocol):
    """Sees what one actor does, in that actor's thread, before and after it is done."""

    def on_receive(self, what: Any, /) -> None:
        """See it take up *what*: a message, Init or Terminate; see `described`."""

    def on_reply(self, request: Any, value: Any, /) -> None:
        """See it answer a call or an ask."""

    def on_send(self, how: str, message: Any, dest: Any, /) -> None:
        """See it send *message* to another."""


class Described(NamedTuple):
    """What an actor is at, in the words of who wrote the actor."""

    callback: str
    """The method that runs: "handle_call", "init", …"""
    message: Any
    """What that was given; None for ``init``."""


def described(what: Any, actor_class: type[Any]) -> Described:  # noqa: PLR0911 - one for each kind
    """Say which callback of an *actor_class* *what*, as the loop notes it, is for."""
    if not isinstance(what, Envelope):
        return _own(what)
    message = what.message
    match message:
        case Call():
            return Described(message.callback, message.request)
        case Cast(request):
            return Described("handle_cast", request)
        case StopRequest(reason):
            return Described("stop", reason)
        case messages._ActorStop():  # noqa: SLF001 - pykka's stop
            return Described("stop", None)
        case messages.ProxyCall() | messages.ProxyGetAttr() | messages.ProxySetAttr():
            return Described("proxy", message)
    if actor_class.on_receive is not ThreadingActor.on_receive:
        return Described("on_receive", message)
    return Described("handle_info" if what.reply_to is None else "handle_call", message)


def _own(what: Any) -> Described:
    """Say it of what an actor does without a message."""
    match what:
        case Init():
            return Described("init", None)
        case Terminate(reason):
            return Described("terminate", reason)
        case Continue(token):
            return Described("handle_continue", token)
        case _:
            return Described("handle_info", what)
