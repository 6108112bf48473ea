"""A shop whose programs end with the test."""

import os
import signal
from contextlib import suppress

import pytest
from shop_servers import Shop


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    for program in shop.programs:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait(30)
