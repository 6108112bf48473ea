import asyncio

import pytest
from support.apps import until
from support.terminals import FailsOnce, Terminal, Waits, gate

from antq_actors import AntQ, Status
from antq_actors.top.look import Look


@pytest.fixture
def shop(tmp_path):
    """An application with a job that runs, one that failed, and a paused queue with one."""
    gate.clear()
    with AntQ(tmp_path / "shop", queues={"default": 2, "mail": 1}) as app:
        Waits.perform_async({"to": "ann@example.org", "password": "hunter2"})
        FailsOnce.perform_async({"text": "no such customer"})
        wanted = {Status.RUNNING, Status.FAILED}
        until(lambda: {job.status for job in app.list_jobs()} == wanted)
        app.queue("mail").pause(by="ada", reason="deploy")
        FailsOnce.perform_async(queue="mail")
        try:
            yield app
        finally:
            gate.set()


@pytest.fixture
def watching():
    """Returns a function that lets a coroutine use the terminal view of an application."""
    from antq_actors.top.program import TopApp  # noqa: PLC0415 - the other tests need no Textual

    def watch(app, use, *, ascii_only=False, size=(140, 40), **options):
        async def run():
            program = TopApp(app, Look(ascii_only=ascii_only), 0.05, **options)
            async with program.run_test(size=size) as pilot:
                await use(Terminal(program, pilot))
            return program

        return asyncio.run(run())

    return watch
