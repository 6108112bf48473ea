"""A program whose processes perform jobs that do not end by themselves; it is killed meanwhile."""

import sys
import time
from pathlib import Path

from apps import until
from deeds import Deed

from antq_actors import AntQ, QueueConfig

place = Path(sys.argv[1])
app = AntQ(queues={"default": QueueConfig(2, executor="process")}).start()
for deed in ("be_deaf", "spin"):
    app.enqueue(Deed, {"place": str(place), "deed": deed})
until(lambda: len(list(place.glob("begun *"))) == 2, "the beginning of both")
sys.stdout.write("ready\n")
sys.stdout.flush()
time.sleep(60)
