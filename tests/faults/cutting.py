"""Runs the program `cut_short.py`, which cuts threads short and says what the places are."""

import json
import sys

AT_LEAST = {"calls": 120, "lines": 350, "instructions": 1_500}
"""Places of an enqueue; that there are so many shows that they are found."""

LONGEST = 400.0
"""Seconds: three places that hang for a minute each, which are told, and all others."""

ENQUEUES = {
    "app/antq.py",
    "app/enqueue.py",
    "jobs/new_job.py",
    "otp/kernel/loop.py",
    "otp/kernel/mailbox.py",
    "otp/kernel/messages.py",
    "otp/messaging/calls.py",
    "storage/actor.py",
    "storage/client.py",
    "storage/format/encoding.py",
    "storage/jobs/table.py",
    "storage/jobs/writer.py",
    "storage/lmdb/environment.py",
}
"""Files in which an enqueue has places, wherever else."""

SERVED = ENQUEUES | {
    "otp/threads/run_queue.py",
    "queues/exit_queue.py",
    "storage/jobs/job_store.py",
    "storage/requests.py",
}
"""The same of an enqueue that serves a queue with free slots."""

WAITS = {
    "app/antq.py",
    "app/waiting.py",
    "otp/kernel/messages.py",
    "otp/messaging/calls.py",
    "storage/client.py",
}
"""The same of a wait."""

PATHS = {"enqueue": ENQUEUES, "served": SERVED, "wait": WAITS}

CLEAN = {"problems": [], "lost": [], "doubled": [], "findings": []}


def cut(start, *arguments, every, first):
    """Have a program cut threads short; return how many places there are, and what it found.

    Its places are those with the number *first* and each *every*-th after it.
    """
    sys.stdout.write(f"the same again: --cut-every {every} --cut-first {first}\n")  # if it fails
    status, out, errors = start("cut_short.py", every, first, *arguments).end(LONGEST)
    assert status == 0, errors
    found = json.loads(out.splitlines()[-1])
    not_passed = PATHS.get(arguments[0], set()) - set(found.pop("files", ()))
    assert not not_passed, (not_passed, found)
    return every * found.pop("places"), found
