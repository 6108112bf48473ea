"""Enqueue one job for each period, however many processes run this program.

Run it as a service that is restarted when it ends. It runs until SIGTERM or Ctrl-C.
"""

import signal
import sys
import time
from contextlib import suppress

from antq_actors import AlreadyExists, AntQ, Job, Unique, Worker
from antq_actors.otp import GenServer, Supervisor, monitor

PERIOD_SECONDS = 0.5  # 86_400 for a day, which then begins at midnight UTC


class Report(Worker, max_attempts=3, unique=Unique(args=["period"], statuses="all")):
    def perform(self, job: Job) -> None:
        print(f"report {job.args['period']}", flush=True)


class Scheduler(GenServer):
    """Enqueues the job of each period when the period begins."""

    def init(self) -> None:
        self._enqueue()  # the job of the current period, unless it exists already

    def handle_info(self, message: object) -> None:
        self._enqueue()

    def _enqueue(self) -> None:
        period = int(time.time() // PERIOD_SECONDS)
        with suppress(AlreadyExists):
            Report.perform_async({"period": period})
        begins_in = (period + 1) * PERIOD_SECONDS - time.time()
        self.send_after(max(0.0, begins_in), "next period")


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    with AntQ("jobs"), Supervisor.start([Scheduler.child_spec()]) as scheduler:
        monitor(scheduler).wait()  # until it gives up, because restarts did not help
        sys.exit("the scheduler has ended")


if __name__ == "__main__":
    main()
