"""A script that defines workers, and classes of arguments: nobody can import them."""

import sys
from dataclasses import dataclass

from support.apps import settled

from antq_actors import AntQ, QueueConfig, Worker, worker

FACTOR = 2


@dataclass
class Order:
    amount: int


class Shared(Worker):
    def check(self, job):
        assert isinstance(job.args["order"], Order), type(job.args["order"])
        assert job.args["order"].amount * FACTOR == 84


class Plain(Shared):
    def perform(self, job):
        self.check(job)


class Awaited(Shared):
    async def perform(self, job):
        self.check(job)


@worker
def plain(order):
    assert order.amount * FACTOR == 84


@worker
async def awaited(order):
    assert order.amount * FACTOR == 84


def main(kind):
    classes = (Awaited, awaited) if kind == "async" else (Plain, plain)
    with AntQ(queues={"default": QueueConfig(executor=kind)}) as app:
        jobs = [app.enqueue(each, {"order": Order(42)}) for each in classes * 2]
        for job in jobs:
            ended = settled(app, job)
            sys.stdout.write(f"{ended.status}\n")
            sys.stderr.writelines(entry.stack_trace or entry.error for entry in ended.errors)


if __name__ == "__main__":
    main(sys.argv[1])
