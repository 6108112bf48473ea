"""An application whose jobs fork, wherever they run; it tells how each forked child ended."""

import asyncio
import logging
import multiprocessing
import os
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor

from antq_actors import AntQ, ForkError, Worker, worker

warnings.simplefilter("ignore")  # of forks in programs with threads


def say(*what):
    os.write(1, (" ".join(map(str, what)) + "\n").encode())


def leave(how):
    if how == "raise":
        raise ValueError("raised in the child")
    if how == "exit":
        sys.exit(7)
    if how == "text":
        sys.exit("the child exits")
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "enqueue":
        try:
            Nap.perform_async()
        except ForkError:
            return
        raise AssertionError("it was not refused")
    if how == "own application":
        app = AntQ(start_queues=False).start()
        app.enqueue(Nap)
        sys.exit(app.count_workers())
    if how == "thread":
        threading.Thread(target=lambda: (time.sleep(0.1), os._exit(5)), daemon=False).start()


def exit_code(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fork(how, where):
    """Fork, and leave in the child; tell in the parent, which is answered True, how it ended."""
    pid = os.fork()
    if pid:
        say(where, how, exit_code(pid))
    else:
        leave(how)
    return pid != 0


class Forks(Worker, max_attempts=3):
    def perform(self, job):
        fork(job.args["how"], "thread")


class ForksInAProcess(Worker, max_attempts=3, executor="process"):
    def perform(self, job):
        fork(job.args["how"], "process")


class ForksOnALoop(Worker, max_attempts=3):
    async def perform(self, job):
        await asyncio.sleep(0)
        fork(job.args["how"], "loop")


class ForksInATask(Worker, max_attempts=3):
    async def perform(self, job):
        async def task():
            fork(job.args["how"], "task")

        await asyncio.create_task(task())


class ForksInACallback(Worker, max_attempts=3):
    async def perform(self, job):
        done = asyncio.Event()

        def call_back():
            pid = os.fork()
            if pid:
                say("callback", job.args["how"], exit_code(pid))
                done.set()
            else:
                leave(job.args["how"])

        asyncio.get_running_loop().call_soon(call_back)
        await done.wait()


class ForksAndAwaits(Worker, max_attempts=3):
    async def perform(self, job):
        never = asyncio.get_running_loop().create_future()
        pid = os.fork()
        if pid == 0:
            await never
        say("awaits", job.args["how"], exit_code(pid))


class ForksInAThreadOfALoop(Worker, max_attempts=3):
    async def perform(self, job):
        await asyncio.to_thread(fork, job.args["how"], "to_thread")


class ForksInALoopOfAThread(Worker, max_attempts=3, executor="thread"):
    async def perform(self, job):
        if fork(job.args["how"], "own loop"):
            await asyncio.to_thread(time.sleep, 0)  # wakes the loop, if that can still be woken


class ForksInItsDelay(Worker, max_attempts=2):
    def perform(self, job):
        if job.attempts == 1:
            raise RuntimeError("so that it is asked for the delay")

    def calculate_delay(self, job):
        fork(job.args["how"], "delay")
        return 0


class StartsAProcess(Worker, max_attempts=3):
    def perform(self, job):
        process = multiprocessing.get_context("fork").Process(target=leave, args=[job.args["how"]])
        process.start()
        process.join()
        say("multiprocessing", job.args["how"], process.exitcode)


class StartsAProcessOnALoop(Worker, max_attempts=3):
    async def perform(self, job):
        StartsAProcess().perform(job)


class StartsAPool(Worker, max_attempts=3):
    def perform(self, job):
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            say("pool", job.args["how"], pool.submit(os.getpid).result() != os.getpid())


@worker
async def nap_on(place: str) -> None:
    for _ in range(20):
        await asyncio.sleep(0.01)
    say("neighbour", os.getpid())


class Nap(Worker):
    def perform(self, job): ...


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    worker_name, hows = sys.argv[1], sys.argv[2].split(",")
    with AntQ(queues={"default": 10}) as app:
        for _ in range(3):
            nap_on.perform_async(place="")
        for how in hows:
            globals()[worker_name].perform_async({"how": how})
        while app.count_workers(status=["enqueued", "running", "retrying", "scheduled"]):
            time.sleep(0.01)
        say("parent", os.getpid())
        say(*(f"{job.status}-{job.attempts}-{len(job.errors)}" for job in app.list_workers()))
