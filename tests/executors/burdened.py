"""A program whose processes perform jobs that do not end by themselves; it is ended meanwhile."""

import sys
import time
from contextlib import suppress
from pathlib import Path

from apps import until
from deeds import Deed

from antq_actors import AntQ, QueueConfig

place = Path(sys.argv[1])
with AntQ(place / "store", queues={"default": QueueConfig(2, executor="process")}) as app:
    for deed in ("be_deaf", "spin"):
        app.enqueue(Deed, {"place": str(place), "deed": deed})
    until(lambda: len(list(place.glob("begun *"))) == 2, "the beginning of both")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        time.sleep(60)
    app.stop(timeout=0.5)
