"""The end of a worker actor elsewhere is reported, at whatever instruction it is cut short."""

import pytest
from cut_short import Cutter, attempt, cut_one, ends_a_with_block

from antq_actors.executors.thread import RemoteWorkerCell
from antq_actors.otp import Crash, Shutdown


class CutterOutsideOfLocks(Cutter):
    """Cuts at each instruction but those that leave a ``with``: there CPython raises nothing."""

    def _count(self, frame):
        if not ends_a_with_block(frame):
            super()._count(frame)


class Elsewhere:
    """An executor, and the handle of its only attempt, of whose end it will report."""

    def start(self, _attempt, _done):
        return self

    def interrupt(self):
        pass

    def kill(self):
        return True


class Ends:
    """Collects the reasons of ends."""

    def __init__(self):
        self.reasons = []

    def add(self, _cell, reason):
        self.reasons.append(reason)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (lambda _cell: None, Shutdown("done")),
        (lambda _cell: None, Crash(ValueError("no"))),
        (lambda cell: cell.ref, Shutdown("done")),
        (lambda cell: cell.kill(), Shutdown("too late")),
    ],
    ids=["nobody asks", "it crashes", "somebody asks", "it was killed"],
)
def test_an_end_that_is_cut_short_is_reported_or_has_not_begun(before, reason):
    cutter = CutterOutsideOfLocks(
        "instructions", "KeyboardInterrupt", ["actors/task_actor", "executors/thread"]
    )
    while True:
        cutter.next()
        ends = Ends()
        cell = RemoteWorkerCell(Elsewhere(), None, ends)
        cell.live()
        before(cell)

        attempt(lambda cell=cell: cut_one(cutter, lambda: cell.finish(reason)))

        if cutter.where is None:
            break
        if ends.reasons:
            assert ends.reasons == [cell.reason] * len(ends.reasons), cutter.where
        else:
            assert not cell._is_over, cutter.where

    assert cutter.places >= 20
