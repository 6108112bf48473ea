"""An application as a program of its own: it runs until a signal, or until its tree gives up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from antq_actors.app.ear import Ear, hurries
from antq_actors.jobs import main_module

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.app.antq import AntQ

_TREE_ENDED: Final = 0
_STOPPED: Final = 255


def run(
    app: AntQ,
    *,
    queues: bool | None = None,
    when_up: Callable[[], None] = lambda: None,
    hurried_by: int | None = None,
) -> None:
    """Start *app*, wait for a signal, stop it. A second signal hurries the stop.

    The signals are SIGINT, SIGTERM, SIGHUP, which does not hurry, and SIGQUIT, at which the stacks
    of all threads are printed first. *queues* is for its start. *when_up* is called when it has
    started. With *hurried_by* this signal hurries, whenever it comes, and no other does. Raises
    RuntimeError outside the main thread, and when the supervision tree gives up.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run() waits for signals, which only the main thread gets; use start()")

    with Ear(_TREE_ENDED, _STOPPED) as ear:
        app.start(queues=queues)
        ended = app.root.process
        if not ended.watch(ear, lambda _ref, _reason: ear.tell(_TREE_ENDED)):
            ear.tell(_TREE_ENDED)
        when_up()
        with main_module.nothing_more_defined():
            first = ear.hear()
        ended.unwatch(ear)
        reason = ended.reason
        if first == hurried_by:  # the system may deliver the one that was sent first as the second
            app.hurry()
        _stop(app, ear, hurried_by)
    if first == _TREE_ENDED:
        raise RuntimeError(f"the supervision tree gave up: {reason}; see the log for why")


def _stop(app: AntQ, ear: Ear, hurried_by: int | None) -> None:
    """Stop in a thread of its own, so that this one can hear the next signal."""
    errors: list[BaseException] = []

    def stop() -> None:
        try:
            app.stop()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            errors.append(error)
        finally:
            ear.tell(_STOPPED)

    threading.Thread(target=stop, name="antq-stop").start()
    while (event := ear.hear()) != _STOPPED:
        if hurries(event) and hurried_by in (None, event):
            app.hurry()
    if errors:
        raise errors[0]
