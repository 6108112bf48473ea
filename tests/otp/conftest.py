import pytest
from supervised import Log, eventually

from antq_actors.otp import CallExit, Shutdown, Supervisor, stop


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def supervise():
    """Start a supervisor of the given children; afterwards it stops and leaves nothing behind."""
    started = []

    def start(*children, of=Supervisor, **options):
        sup = of.start(list(children), **options)
        started.append(sup)
        return sup

    yield start
    for sup in reversed(started):
        try:
            stop(sup, Shutdown(), timeout=10)
        except CallExit:
            eventually(lambda sup=sup: sup.process.reason is not None)
