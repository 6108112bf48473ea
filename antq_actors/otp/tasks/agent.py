"""Agent: a state in an actor of its own, changed by functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.messaging import calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from antq_actors.otp.messaging.names import Destination


class _Get(NamedTuple):
    fn: Callable[[Any], Any]


class _Update(NamedTuple):
    fn: Callable[[Any], Any]


class _GetAndUpdate(NamedTuple):
    fn: Callable[[Any], tuple[Any, Any]]


class Agent(GenServer):
    """Holds a state for others, who look at it and change it with functions.

    The functions run in the agent, one at a time, so a long one keeps the others waiting. One that
    raises ends the agent, and its caller gets CallExit with the Crash.

    >>> from antq_actors.otp import stop
    >>> counter = Agent.start(lambda: 1)
    >>> Agent.update(counter, lambda number: number + 1)
    >>> Agent.get(counter, lambda number: number)
    2
    >>> stop(counter)
    """

    def __init__(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Keep *fn*, which makes the agent's first state, also after a restart."""
        super().__init__()
        _check(fn)
        self.__make = (fn, args, kwargs)
        self.__state: Any = None

    @staticmethod
    def get(
        agent: Destination, fn: Callable[[Any], Any], timeout: float | timedelta | None = 5.0
    ) -> Any:
        """Call the agent, and return ``fn(state)`` run there. Raises what `call` raises."""
        return calls.call(agent, _Get(_check(fn)), timeout)

    @staticmethod
    def update(
        agent: Destination, fn: Callable[[Any], Any], timeout: float | timedelta | None = 5.0
    ) -> None:
        """Have the agent make ``fn(state)`` its state, and wait. Raises what `call` raises."""
        calls.call(agent, _Update(_check(fn)), timeout)

    @staticmethod
    def get_and_update(
        agent: Destination,
        fn: Callable[[Any], tuple[Any, Any]],
        timeout: float | timedelta | None = 5.0,
    ) -> Any:
        """Call the agent, run *fn* on its state: return the first of its pair, store the second.

        Anything but a pair ends the agent with a TypeError. Raises what `call` raises.
        """
        return calls.call(agent, _GetAndUpdate(_check(fn)), timeout)

    @staticmethod
    def cast(agent: Destination, fn: Callable[[Any], Any]) -> None:
        """Have the agent make ``fn(state)`` its state some time, and wait for nothing."""
        calls.cast(agent, _Update(_check(fn)))

    def init(self) -> None:
        """Make the agent's first state."""
        fn, args, kwargs = self.__make
        self.__state = fn(*args, **kwargs)

    def handle_call(self, request: Any) -> Any:
        """Run the function of a get, an update or a get_and_update on the agent's state."""
        match request:
            case _Get(fn):
                return fn(self.__state)
            case _Update(fn):
                self.__state = fn(self.__state)
                return None
            case _GetAndUpdate(fn):
                pair = fn(self.__state)
                if not isinstance(pair, tuple) or len(pair) != 2:  # noqa: PLR2004 - a pair
                    raise TypeError(
                        f"the function of get_and_update returns (reply, state), got {pair!r}"
                    )
                reply, self.__state = pair
                return reply
            case _:
                return super().handle_call(request)

    def handle_cast(self, request: Any) -> None:
        """Replace the agent's state by what the function of an update returns."""
        if isinstance(request, _Update):
            self.__state = request.fn(self.__state)
        else:
            super().handle_cast(request)


def _check(fn: Any) -> Any:
    if not callable(fn):
        raise TypeError(f"an agent works with functions, got {fn!r}")
    return fn
