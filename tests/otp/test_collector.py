"""What threads share stays whole, though finalizers run in the middle of a step that takes memory.

CPython 3.11 collects garbage where an object is made, also a dict that holds another object's
attributes. The finalizers that it calls then let other threads go on, and may do the step, too.
"""

import textwrap

import pytest
from support.programs import run_python

HEAD = """
import gc

from pykka._envelope import Envelope

from antq_actors.otp.actors.task_actor import TaskActor, TaskCell
from antq_actors.otp.kernel.mailbox import Mailbox
from antq_actors.otp.kernel.messages import Call

class Meddler:
    '''Garbage whose end calls *fn*, once *others* have ended before it.'''

    def __init__(self, fn, others):
        self.fn, self.others, self.itself = fn, others, self

    def __del__(self):
        held.extend({n: n} for n in range(100))
        if self.others:
            Meddler(self.fn, self.others - 1)
        else:
            self.fn()

held = []  # dicts, so that none is left over for the next object

def meddle(step, meddling, others):
    '''Do a step, and *meddling* at the allocation in it that comes after so many others.'''
    has_come = []
    gc.collect()
    gc.disable()
    held.extend({n: n} for n in range(100))
    Meddler(lambda: has_come.append(meddling()), others)
    gc.set_threshold(1)
    gc.enable()
    step()
    gc.set_threshold(700)
    while not has_come:
        gc.collect()

class Task(TaskActor):
    def run(self):
        pass

class Cell(TaskCell):
    actor_class = Task

class Exits:
    def add(self, cell, reason):
        pass

def each_place(check):
    '''Call *check* with each place for a meddler, and collect what has come of it.'''
    for _ in range(10):
        for others in range(6):
            check(others)
            taken = [bytes(200) for _ in range(100)]
            gc.collect()
    print("all is whole")
"""

PROGRAMS = {
    "a wait for an answer": """
        def check(others):
            asked = Call("how are you?")
            meddle(lambda: asked.wait(0), lambda: asked.answer("well"), others)
            assert (asked.value, asked.request) == ("well", "how are you?")
    """,
    "the first message": """
        def check(others):
            mailbox = Mailbox()
            both = [Envelope("one"), Envelope("other")]
            meddle(lambda: mailbox.put(both[0]), lambda: mailbox.put(both[1]), others)
            assert set(mailbox.messages) == set(both)
    """,
    "the event of an end": """
        def check(others):
            cell = Cell(Exits())
            events = []
            ask = lambda: events.append(cell.stopped_event())
            meddle(ask, ask, others)
            assert len(events) == 2 and events[0] is events[1]
    """,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=list(PROGRAMS))
def test_a_finalizer_in_the_middle_of_a_step_does_no_harm(program):
    done = run_python("-c", HEAD + textwrap.dedent(program) + "\neach_place(check)\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "all is whole\n"
