"""While a transaction is under way the collector does not run, whatever the program wants of it."""

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from antq_actors.storage.lmdb.transactions import Uncollected


@pytest.fixture
def uncollected():
    yield Uncollected()
    gc.enable()


def test_the_collector_is_off_within_and_on_again_afterwards(uncollected):
    with uncollected:
        assert not gc.isenabled()

    assert gc.isenabled()


def test_it_is_on_again_when_the_last_thread_has_left(uncollected):
    def stay_a_while():
        with uncollected:
            pass
        return gc.isenabled()

    with ThreadPoolExecutor(1) as pool, uncollected:
        was_on = pool.submit(stay_a_while).result()

    assert not was_on
    assert gc.isenabled()


def test_a_program_that_has_none_gets_none(uncollected):
    gc.disable()

    with uncollected:
        pass

    assert not gc.isenabled()


def test_a_stretch_that_was_left_anywhere_can_be_ended(uncollected):
    uncollected.__enter__()
    uncollected._lock.acquire()

    uncollected.let_go()

    assert gc.isenabled()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(uncollected._lock.acquire, timeout=1).result()
