"""An application as a program of its own: it runs until a signal, or until its tree gives up."""

from __future__ import annotations

import queue
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from antq_actors.app.antq import AntQ

_STOPPED: Final = "stopped"


def run(app: AntQ) -> None:
    """Start *app*, wait for SIGINT or SIGTERM, stop it. A second signal hurries the stop.

    Raises RuntimeError outside the main thread, and when the supervision tree gives up.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run() waits for signals, which only the main thread gets; use start()")

    # A SimpleQueue may be put to inside a signal handler, whatever it interrupts.
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    before = {
        number: signal.signal(number, lambda *_: heard.put("signal"))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        app.start()
        root = app.root
        if not root.process.watch(heard, lambda _ref, reason: heard.put(reason)):
            heard.put(root.process.reason)
        first = heard.get()
        root.process.unwatch(heard)
        _stop(app, heard)
        if first != "signal":
            raise RuntimeError(f"the supervision tree gave up: {first}; see the log for why")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(app: AntQ, heard: queue.SimpleQueue[Any]) -> None:
    """Stop in a thread of its own, so that this one can hear the next signal."""

    def stop() -> None:
        try:
            app.stop()
        finally:
            heard.put(_STOPPED)

    threading.Thread(target=stop, name="antq-stop").start()
    while heard.get() != _STOPPED:
        app.hurry()
