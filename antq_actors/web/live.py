"""Signals to open pages that something has changed: names, never data; pages fetch what they show.

There is no watcher without viewers: each stream looks by itself, four times a second, at a number
that says whether anything has changed. Only when it has, the state is read, once for all streams.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
from starlette.responses import Response

from antq_actors.errors import AntqError
from antq_actors.insights.changes import topics
from antq_actors.web.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.insights.changes import State, Version
    from antq_actors.insights.reader import Insights

MOST_STREAMS: Final = 64
"""Open streams of a process."""
MOST_OF_ONE: Final = 8
"""Open streams of a visitor with a name."""
LOOK_SECONDS: Final = 0.25
COMMENT_SECONDS: Final = 15.0
"""How often a stream without news shows that it lives; proxies close silent ones."""
SLOW_SECONDS: Final = 10.0
"""How long a reader may take for what it was sent; then its stream ends."""
SHARE: Final = 0.004
"""Of the time, what pages may be rendered because of signals: the next one waits for longer after
dear ones."""
LONGEST_PAUSE: Final = 10.0


class Pace:
    """When the next signal may be sent, by how long it took to render what the last made due."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._lock = threading.Lock()

    def note(self, seconds: float) -> None:
        """Note that rendering a part of a page has taken so many *seconds* of a processor."""
        with self._lock:
            self._spent += seconds

    def next_pause(self) -> float:
        """Return how many seconds to wait after a signal, for what was rendered since the last."""
        with self._lock:
            spent, self._spent = self._spent, 0.0
        return min(LONGEST_PAUSE, max(LOOK_SECONDS, spent / SHARE))


class Streams:
    """The open streams of a dashboard."""

    def __init__(self, insights: Insights, pace: Pace) -> None:
        self._insights = insights
        self._pace = pace
        self._open: Counter[str | None] = Counter()
        self._state: State | None = None
        self._next_at = 0.0
        """On the monotonic clock, when the state may be read again."""
        self._lock = threading.Lock()
        self.is_closing = False

    def enter(self, name: str | None) -> Stream:
        """Return a new stream for a visitor. Raises Refusal beyond the caps."""
        self._check(name)
        return Stream(self, name)

    def _check(self, name: str | None) -> None:
        if self.is_closing or self._open.total() >= MOST_STREAMS:
            raise Refusal(503, "too_many", f"{MOST_STREAMS} pages look already; close some.")
        if name is not None and self._open[name] >= MOST_OF_ONE:
            raise Refusal(503, "too_many", f"{name} has {MOST_OF_ONE} pages open; close some.")

    def __len__(self) -> int:
        return self._open.total()

    def opened(self, name: str | None) -> None:
        """Count a stream that begins. Raises Refusal: others may have begun since it was made."""
        self._check(name)
        self._open[name] += 1

    def closed(self, name: str | None) -> None:
        """Count a stream that has ended."""
        self._open[name] -= 1
        if not self._open.total():
            self._state = None

    def version(self) -> Version:
        """Return the version of what pages show: while there are streams, that of the last signal.

        So what several of them fetch after a signal is the same, and is rendered once; for what has
        changed since, another signal comes.
        """
        state = self._state
        return self._insights.version() if state is None else state.version

    @property
    def must_end(self) -> bool:
        """Whether streams end now, because their server stops."""
        return self.is_closing or _server_stops()

    def resting(self) -> State | None:
        """Return the state that streams tell of, in the pause after a signal; None: it is over.

        So nothing is looked at in that pause, and no thread is asked to.
        """
        return self._state if time.monotonic() < self._next_at else None

    def state(self) -> State:
        """Return the state that streams tell of: read again after a change, though not at once."""
        with self._lock:
            now = time.monotonic()
            if self._state is not None and (
                now < self._next_at or self._state.version == self._insights.version()
            ):
                return self._state
            self._next_at = now + self._pace.next_pause()
            self._state = self._insights.state()
            return self._state


def _server_stops() -> bool:
    """Return whether the uvicorn of this process stops; it waits until open streams have ended.

    A dashboard that is mounted is not told, but uvicorn's handler of signals is one of its methods.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True


class Stream(Response):
    """A stream of server-sent events, to one page."""

    def __init__(self, streams: Streams, name: str | None) -> None:
        super().__init__(media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._streams = streams
        self._name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send events until the reader goes, is too slow, or the server stops."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            self._streams.opened(self._name)
        except Refusal as refusal:
            await Response(refusal.message, refusal.status)(scope, receive, send)
            return
        try:
            await send(start)
            async with anyio.create_task_group() as group:
                group.start_soon(_until_gone, receive, group.cancel_scope)
                await self._send_events(send)
                group.cancel_scope.cancel()
        finally:
            self._streams.closed(self._name)

    async def _send_events(self, send: Any) -> None:
        streams = self._streams
        try:
            state = await anyio.to_thread.run_sync(streams.state)
        except AntqError:
            await _put(send, b"event: bye\ndata: {}\n\n", is_last=True)
            return
        await _put(send, _counts(state))
        # A page that shows another state was rendered before, and no signal comes for that.
        await _put(send, _event("begun", {"mark": state.version.mark}))
        sent_at = time.monotonic()
        while not streams.must_end:
            await anyio.sleep(LOOK_SECONDS)
            before = state
            try:
                resting = streams.resting()
                if resting is None:
                    state = await anyio.to_thread.run_sync(streams.state)
                else:
                    state = resting
            except AntqError:  # the store went away
                break
            if state is not before:
                await _tell(send, before, state)
                sent_at = time.monotonic()
            elif time.monotonic() - sent_at >= COMMENT_SECONDS:
                await _put(send, b": \n\n")
                sent_at = time.monotonic()
        await _put(send, b"event: bye\ndata: {}\n\n", is_last=True)


async def _tell(send: Any, before: State, state: State) -> None:
    """Send what has changed from one state to another."""
    found = topics(before, state)
    if found:
        await _put(send, _event("signal", {"topics": found, "txn": state.version.txn}))
    if before.counts != state.counts:
        await _put(send, _counts(state))


def _counts(state: State) -> bytes:
    counts = state.counts
    return _event("counts", {"waiting": counts.waiting, "failed": counts.failed})


def _event(name: str, data: Mapping[str, object]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


async def _until_gone(receive: Any, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _put(send: Any, body: bytes, *, is_last: bool = False) -> None:
    """Send a part. Raises TimeoutError for a reader that does not take it."""
    with anyio.fail_after(SLOW_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": not is_last})
