"""Workers for ``antq enqueue``, in a module that may start its application and wait for ever."""

import os
from pathlib import Path

from antq_actors import AntQ, Unique, Worker, worker

PLACE = Path(os.environ.get("ENQUEUEABLE_PLACE", "unused"))


@worker
def greet(name: str, times: int = 1):
    (PLACE / "performed").touch()


class Mail(Worker, queue="mail", unique=Unique(["to"])):
    def perform(self, job):
        (PLACE / "performed").touch()


number = 7
app = AntQ(PLACE / "store", queues={"default": 1, "mail": 1})
if (PLACE / "starts").exists():
    app.start()
    app.run()
