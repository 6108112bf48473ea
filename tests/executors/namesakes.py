"""A script whose job processes know its workers by their stored names, and refuse as it does."""

import sys
from pathlib import Path

import pytest
from support.apps import settled

from antq_actors import AntQ, QueueConfig, Worker, worker


class Mail(Worker):
    def perform(self, job):
        assert job.args["of"] == "the module"


def inside():
    class Mail(Worker):
        def perform(self, job):
            assert job.args["of"] == "the function"

    return Mail


def make(text):
    @worker
    def closure():
        return text

    return closure


class Makes(Worker):
    def perform(self, job):
        first, second = make(1), make(2)
        second.perform_async()
        with pytest.raises(ValueError, match="was replaced by a later definition"):
            first.perform_async()


class Opens(Worker):
    def perform(self, job):
        with (
            Path(__file__).open() as source,
            pytest.raises(TypeError, match="the argument 'source'"),
        ):
            Mail.perform_async({"of": "the module", "source": source})


def main():
    inner = inside()
    make(0)
    one = QueueConfig(concurrency=1, executor="process")
    with AntQ(queues={"default": one}) as app:
        jobs = [(Mail, "module"), (inner, "function"), (Mail, "module"), (Makes, ""), (Opens, "")]
        for each, of in jobs:
            ended = settled(app, app.enqueue(each, {"of": f"the {of}"}))
            sys.stdout.write(f"{ended.status}\n")
            sys.stderr.writelines(entry.stack_trace or entry.error for entry in ended.errors)


if __name__ == "__main__":
    main()
