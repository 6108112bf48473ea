"""The kernel's table of waiting threads grows with the threads, where a process has its own."""

import os
import threading

import pytest
from test_forked import run

from antq_actors.otp.threads import futex_table
from antq_actors.otp.threads.futex_table import rows


def has_a_table_of_its_own():
    found = []
    thread = threading.Thread(target=lambda: found.append(rows()))
    thread.start()
    thread.join()
    return found[0] > 0


pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not has_a_table_of_its_own(),
    reason="the kernel has one table for all processes, or there is no fork",
)

MANY = f"""
from antq_actors.otp.threads import futex_table
from antq_actors.otp.threads.futex_table import rows

def start(number):
    return [Child.start() for _ in range(number)]

start(1)
at_first = rows()
ENOUGH = {futex_table.FEW_THREADS}
"""


def test_with_few_threads_it_is_left_as_it_is():
    run(MANY + "start(ENOUGH - 1); assert 0 < rows() == at_first, rows()")


def test_with_many_threads_it_has_a_row_for_each():
    run(MANY + "start(10 * ENOUGH); assert rows() >= 10 * ENOUGH, rows()")


def test_one_that_is_larger_is_not_made_smaller():
    run(MANY + "futex_table._prctl(1, 8192); start(2 * ENOUGH); assert rows() == 8192")


def test_a_forked_child_has_one_for_its_own_threads():
    run(
        MANY
        + """
start(10 * ENOUGH)

def check():
    start(1)
    assert rows() < 5 * ENOUGH, rows()
    start(5 * ENOUGH)
    assert rows() >= 5 * ENOUGH, rows()

in_child(check)
"""
    )
