"""A program whose processes perform jobs that do not end by themselves, until it is stopped."""

import sys
import time
from contextlib import suppress
from pathlib import Path

from job_actions import ActionJob
from support.apps import until

from antq_actors import AntQ, QueueConfig

place = Path(sys.argv[1])
with AntQ(place / "store", queues={"default": QueueConfig(2, executor="process")}) as app:
    for action in ("be_deaf", "spin"):
        app.enqueue(ActionJob, {"place": str(place), "action": action})
    until(lambda: len(list(place.glob("begun *"))) == 2, "the beginning of both")
    with suppress(KeyboardInterrupt):  # which may come as soon as it is ready
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        time.sleep(60)
    app.stop(timeout=0.5)
