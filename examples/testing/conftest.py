"""Each test has an application of its own, with an empty store in memory."""

import os

import pytest

os.environ["SHOP_JOBS"] = ""  # before the first import of shop

import shop


@pytest.fixture
def app():
    """Return the application with running queues."""
    with shop.app as app:
        yield app


@pytest.fixture
def enqueued():
    """Return the application, which enqueues jobs but performs none."""
    with shop.app.start(queues=False) as app:
        yield app
