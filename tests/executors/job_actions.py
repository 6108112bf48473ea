"""What jobs may do to the process in which they are performed."""

import atexit
import ctypes
import inspect
import logging
import multiprocessing
import os
import re
import resource
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from antq_actors import AlreadyExists, Unique, Worker

log = logging.getLogger("job_actions")


def tell_pid(job):
    place(job, f"pid {os.getpid()}").touch()


def spin(job):
    while True:
        pass


def backtrack(job):
    re.match(r"(a+)+$", "a" * 60 + "b")


def be_in_c_code(job):
    sum(range(10**12))


def be_deaf(job):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.01)


def block_all_signals(job):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(60)


def answer_late(job):
    """Let no signal in before the file "go on" is there."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    tell_pid(job)
    while not place(job, "go on").exists():
        time.sleep(0.001)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    time.sleep(60)


def be_stubborn(job):
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001, S112 - as it says
            continue


def clean_up(job):
    try:
        place(job, "will clean up").touch()
        time.sleep(60)
    finally:
        place(job, "cleaned up").touch()


def linger(job):
    """End when told, in a process that takes a while to end."""
    atexit.register(time.sleep, 0.15)
    tell_pid(job)
    time.sleep(60)


def fail_and_linger(job):
    atexit.register(time.sleep, 0.15)
    tell_pid(job)
    raise ValueError("no")


def be_large_once(job):
    """Take so much memory that a kill takes a while; the second time, note whether one lives."""
    for file in Path(job.args["place"]).glob("pid *"):
        place(job, "met another" if lives(int(file.name.split()[1])) else "alone").touch()
        return
    block = bytearray(500_000_000)
    block[::4096] = b"x" * len(block[::4096])
    tell_pid(job)
    time.sleep(60)


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def segfault(job):
    ctypes.string_at(0)


def leave(job):
    sys.stderr.write("last words\n")
    sys.stderr.flush()
    os._exit(3)


def be_killed(job):
    os.kill(os.getpid(), signal.SIGKILL)


def be_terminated(job):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def stop_itself(job):
    os.kill(os.getpid(), signal.SIGSTOP)


def close_everything(job):
    os.closerange(3, 1000)
    time.sleep(60)


def leave_a_daemon_and_die(job):
    daemonise(job)
    os._exit(4)


def daemonise(job):
    """Leave a process in a session of its own that has all our files open."""
    if os.fork() == 0:
        os.setsid()
        place(job, f"daemon {os.getpid()}").touch()
        time.sleep(60)
        os._exit(0)
    while not list(Path(job.args["place"]).glob("daemon *")):
        time.sleep(0.005)


def start_a_child_and_sleep(job):
    if os.fork() == 0:
        place(job, f"child {os.getpid()}").touch()
        time.sleep(60)
        os._exit(0)
    time.sleep(60)


def start_a_child_and_die(job):
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    place(job, f"child {pid}").touch()
    os._exit(4)


def leave_a_daemon_with_the_pipe_and_be_deaf(job):
    """Fork as a C library does, of which Python hears nothing."""
    if ctypes.PyDLL(None).fork() == 0:
        os.setsid()
        place(job, f"daemon {os.getpid()}").touch()
        time.sleep(60)
        os._exit(0)
    be_deaf(job)


def hear_no_more(job):
    """Let the process hear nothing after this job, so that it ends; but it is not gone at once."""
    threading.Thread(target=time.sleep, args=(60,)).start()
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if str(file.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(file.name))) as pipe:
                    pipe.shutdown(socket.SHUT_RD)


def fork_a_worker(job):
    """Use multiprocessing with its old start method, and log and report there."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=in_a_fork, args=(job,))
    process.start()
    process.join()
    assert process.exitcode == 0
    other = context.Process(target=time.sleep, args=(60,))
    other.start()
    other.terminate()
    other.join()
    assert other.exitcode == -signal.SIGTERM


def fork_and_leave(job):
    pid = os.fork()
    if pid == 0:
        raise ValueError("in a fork")
    os.waitpid(pid, 0)


def in_a_fork(job):
    log.warning("from a fork")
    job.progress(0.1)
    assert not job.cancelled()


def leave_a_thread(job):
    def go_on():
        while True:
            log.debug("not heard")
            job.progress(0.9)
            job.cancelled()
            time.sleep(0.001)

    threading.Thread(target=go_on).start()


def leave_a_thread_that_enqueues(job):
    def go_on():
        done = Path(job.args["place"], "over")
        while not done.exists():
            time.sleep(0.005)
        try:
            ActionJob.perform_async({**job.args, "action": "nothing"})
        except Exception as error:  # noqa: BLE001 - shown to the test
            place(job, "refused").write_text(repr(error))

    threading.Thread(target=go_on).start()


def look_from_a_thread(job):
    """Ask in two threads, at the same time, what only the parent knows."""
    stop = threading.Event()

    def look():
        while not stop.is_set():
            job.cancelled()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(50):
            ActionJob.perform_async({**job.args, "action": "nothing"})
    finally:
        stop.set()
        looking.join()


def end_when_requested(job):
    while not job.cancelled():
        job.progress(0.5)  # heard after it was heard that this one looks
        time.sleep(0.005)
    place(job, "told").touch()


def say(job):
    try:
        {}["why"]
    except KeyError:
        log.exception("of %s", "import", extra={"number": 7, "thing": threading.Lock()})
    logging.getLogger("job_actions.quiet").info("not this")
    logging.getLogger("job_actions.loud").debug("but this")
    job.progress(0.25, "a quarter")


def say_and_wait(job):
    job.progress(0.25, "a quarter")
    time.sleep(60)


def print_much(job):
    print("to stdout")  # noqa: T201
    print("to stderr é", file=sys.stderr)  # noqa: T201


def fill_stderr(job):
    sys.stderr.write("x" * 1_000_000)


def enqueue(job):
    made = ActionJob.perform_async({**job.args, "action": "nothing"}, schedule_in=3600)
    assert made.id > job.id
    assert made.args["action"] == "nothing"
    place(job, f"made {made.id}").touch()


def enqueue_twice(job):
    options = {"unique": Unique(args=["action"]), "schedule_in": 3600}
    first = ActionJob.perform_async({**job.args, "action": "nothing"}, **options)
    try:
        ActionJob.perform_async({**job.args, "action": "nothing"}, **options)
    except AlreadyExists as error:
        place(job, f"refused for {error.job.id - first.id}").touch()
        place(job, "refused").write_text(str(error))
    ActionJob.perform_async({"a": 1}, nonsense=2)


def enqueue_a_local_thing(job):
    class Local: ...

    ActionJob.perform_async({**job.args, "action": "nothing", "thing": Local()})


def take_memory(job):
    block = bytearray(100_000_000)
    block[::4096] = b"x" * len(block[::4096])
    globals()["kept"] = block
    tell_pid(job)


def exceed_memory(job):
    resource.setrlimit(resource.RLIMIT_AS, (500_000_000,) * 2)
    bytearray(10_000_000_000)


def note_files(job):
    files = []
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of this listing itself
            files.append(str(file.readlink()))
    place(job, "files").write_text("\n".join(files))


DEEDS = {name: deed for name, deed in globals().items() if inspect.isfunction(deed)}
DEEDS |= {"sleep": lambda job: time.sleep(60), "nothing": lambda job: None}


class ActionJob(Worker, executor="process", max_attempts=1):
    def perform(self, job):
        place(job, f"begun {job.args['action']}").touch()
        return DEEDS[job.args["action"]](job)


def place(job, name):
    return Path(job.args["place"], name)
