"""A thread that serves jobs and crashes anywhere is no harm to them.

The figures are those of `cut_short.py`, which says what the places are.
"""

import pytest


@pytest.mark.parametrize("store", ["volatile", "durable"])
def test_jobs_are_performed_though_a_thread_that_serves_them_crashes_anywhere(cut, store):
    places, found = cut("service", "TimeoutError", store, 41)

    assert found == {"problems": []}
    assert places >= 10
