"""A shop to learn with: three queues, a small supervision tree, and as much traffic as one likes.

    shop ─┬─ tills      each on its own (one for one)
          ├─ kitchen    each needs those before it (rest for one)
          ├─ couriers   two restarts in ten minutes, then it gives up
          └─ traffic    enqueues mails

The queue "ovens" runs in a process of its own, which can be killed.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors import AntQ, AntqError, Backoff, Job, Status, Worker, otp
from antq_actors.checks import real, short_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ROOT: Final = "shop"
"""The name of the root of the shop's tree, and of its store."""
MAIL: Final = "mail"
PARCELS: Final = "parcels"
OVENS: Final = "ovens"
OVEN_SLOTS: Final = 2
MOST_PER_SECOND: Final = 50.0
"""Mails of the traffic."""
FIRST_PER_SECOND: Final = 2.0
COURIER_RESTARTS: Final = 2
COURIER_WINDOW: Final = 600
LONGEST_WAIT: Final = 60.0
"""Seconds for what a process or a job has to do."""
POLL_SECONDS: Final = 0.05
BAKE_SECONDS: Final = 60.0
"""What a cake takes that is not interrupted: long enough to kill its process meanwhile."""
CHARGE_DELAY: Final = Backoff(first=3600, factor=2, longest=86_400)


class Group(NamedTuple):
    """A supervisor of the shop with three children."""

    name: str
    members: tuple[str, str, str]
    """In the order of their start."""


TILLS: Final = Group("tills", ("till-1", "till-2", "till-3"))
KITCHEN: Final = Group("kitchen", ("orders", "stove", "waiter"))


class NotInTime(AntqError):
    """Something of the shop has not come within `LONGEST_WAIT`."""


class SendMail(Worker, queue=MAIL):
    """A mail to a customer, of which nothing comes."""

    def perform(self, job: Job) -> None:
        """Report that it was sent."""
        job.progress(1.0, "sent")


class ChargeCard(Worker, queue=MAIL, max_attempts=4, retry_delay=CHARGE_DELAY):
    """A payment through a gateway that is never there."""

    def perform(self, _job: Job) -> None:
        """Fail."""
        raise ConnectionError("the payment gateway does not answer")


class PackParcel(Worker, queue=PARCELS):
    """A parcel, which is packed at once."""

    def perform(self, job: Job) -> None:
        """Report that it was packed."""
        job.progress(1.0, "packed")


class BakeCake(Worker, queue=OVENS):
    """A cake that takes long, unless it was begun before: then it is warm."""

    def perform(self, job: Job) -> None:
        """Bake until it is done, or the process is killed."""
        if not job.interruptions:
            threading.Event().wait(BAKE_SECONDS)


class Keeper(otp.GenServer):
    """An actor that does nothing. Only how it ends matters."""


class Traffic(otp.GenServer):
    """Enqueues mails, as many in a second as the shop says."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self._shop = shop
        self._order = 0

    def init(self) -> None:
        """Begin."""
        self.send_after(0.0, "order")

    def handle_info(self, _message: object) -> None:
        """Enqueue a mail, and wake up for the next."""
        per_second = self._shop.per_second
        if per_second:
            self._order += 1
            with suppress(AntqError):  # as the shop closes: then no mail comes in
                self._shop.app.enqueue(SendMail, {"order": self._order})
        self.send_after(1 / per_second if per_second else 0.5, "order")


class Shop:
    """The application with its tree, and the process of the ovens."""

    def __init__(self, path: Path, *, per_second: float = FIRST_PER_SECOND) -> None:
        self.app = AntQ(path, queues={MAIL: 4, PARCELS: 1})
        self.per_second = per_second
        """Mails that the traffic enqueues."""
        self._ovens: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Start the tree of the shop, unless it runs; the application has started."""
        if otp.whereis(ROOT) is None:
            otp.Supervisor.start(self._children(), name=ROOT, max_restarts=1_000, max_seconds=60)

    def close(self) -> None:
        """Stop the tree, and the ovens."""
        with suppress(otp.CallExit):
            otp.stop(ROOT)
        self.kill_ovens()

    def set_traffic(self, per_second: object) -> None:
        """Have so many mails enqueued in a second. Raises TypeError or ValueError."""
        number = real(per_second)
        if number is None:
            raise TypeError(f"mails in a second must be a number, got {short_repr(per_second)}")
        if not 0 <= number <= MOST_PER_SECOND:
            raise ValueError(
                f"mails in a second must be 0 to {MOST_PER_SECOND:g}, got {short_repr(per_second)}"
            )
        self.per_second = number

    def open_ovens(self) -> int:
        """Return the pid of the process that runs the ovens; it has started then.

        Raises NotInTime if it does not start.
        """
        pid = self.launch_ovens()
        if not until(lambda: any(each.alive and each.pid == pid for each in self.app.nodes())):
            self.kill_ovens()
            raise NotInTime(f"the process of the ovens has not started in {LONGEST_WAIT:g} s")
        return pid

    def launch_ovens(self) -> int:
        """Start the process that runs the ovens, unless it runs; return its pid at once."""
        if self._ovens is None or self._ovens.poll() is not None:
            self._ovens = subprocess.Popen(  # noqa: S603 - this interpreter, with our own program
                [sys.executable, "-c", _OVENS_PROGRAM, str(self.app.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
        return self._ovens.pid

    def bake(self, cakes: int) -> list[int]:
        """Have the process of the ovens enqueue cakes, and return their ids once they bake.

        It is that process that enqueues them: the application itself has no such queue. Raises
        RuntimeError if they do not begin.
        """
        newest = next(iter(self.app.list_jobs(worker=BakeCake, newest_first=True, limit=1)), None)
        after = newest.id if newest else 0
        if self._ovens is None or self._ovens.stdin is None:
            raise NotInTime("the ovens are closed")
        self._ovens.stdin.write(f"{cakes}\n".encode())
        self._ovens.stdin.flush()

        def baking() -> list[int]:
            found = self.app.list_jobs(worker=BakeCake, status=Status.RUNNING, after=after)
            return [job.id for job in found]

        if not until(lambda: len(baking()) == cakes):
            raise NotInTime(f"the cakes are not in the oven within {LONGEST_WAIT:g} s")
        return baking()

    def kill_ovens(self) -> None:
        """Kill the process of the ovens, as ``kill -9`` does, and wait for its end."""
        if self._ovens is not None:
            self._ovens.kill()
            self._ovens.communicate()
            self._ovens = None

    def _children(self) -> Sequence[otp.ChildSpec]:
        often = {"max_restarts": 1_000, "max_seconds": 60}
        rarely = {"max_restarts": COURIER_RESTARTS, "max_seconds": COURIER_WINDOW}
        return [
            _group(TILLS.name, TILLS.members, strategy=otp.Strategy.ONE_FOR_ONE, **often),
            _group(KITCHEN.name, KITCHEN.members, strategy=otp.Strategy.REST_FOR_ONE, **often),
            _group("couriers", ("courier",), **rarely),
            Traffic.child_spec(self, id="traffic"),
        ]


def _group(name: str, members: Sequence[str], **rules: Any) -> otp.ChildSpec:
    children = [Keeper.child_spec(id=each) for each in members]
    return otp.Supervisor.child_spec(children, id=name, **rules)


def until(condition: Callable[[], bool]) -> bool:
    """Wait for what another process or a job brings about; return whether it came in time."""
    deadline = time.monotonic() + LONGEST_WAIT
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def run_ovens(path: str) -> None:
    """Run the queue of the ovens for the store at *path*, and bake as many cakes as a line says.

    It ends with its input.
    """
    with AntQ(path, queues={OVENS: OVEN_SLOTS}) as app:
        for line in sys.stdin:
            app.enqueue_many(BakeCake, ({"cake": number + 1} for number in range(int(line))))


_OVENS_PROGRAM: Final = (
    "import sys; from antq_actors.demo.shop import run_ovens; run_ovens(sys.argv[1])"
)
