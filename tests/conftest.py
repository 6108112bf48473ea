"""Applications for the tests of what users hold."""

import gc
import logging
import signal
import sys
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from support import reports, stored_base
from support.apps import until
from support.controlled_jobs import ControlledJobs
from support.programs import Program

from antq_actors import AntQ, QueueConfig, otp

# How long an example takes, to make or to run, is up to the machine and what else it does.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# A mutant is killed by the first example that notices it, the same ones each time.
settings.register_profile(
    "mutants",
    settings.get_profile("any machine"),
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("any machine")

SLOW = frozenset({"crash", "faults", "processes", "web"})
"""Folders whose tests take longest: the last file to begin would keep one program busy alone."""


def pytest_addoption(parser):
    parser.addoption(
        "--rule", type=int, help="run only what proves this rule of docs/otp/conformance.md"
    )
    parser.addoption(
        "--stored",
        type=int,
        default=6_000,
        help="jobs in the stores in which it is explained why jobs do not run",
    )
    parser.addoption(
        "--cut-every",
        type=int,
        default=5,
        help="cut threads short at one of so many places; 1 is at all of them, for half an hour",
    )
    parser.addoption(
        "--cut-first", type=int, help="the first of these places, which is one at random"
    )


def pytest_collection_modifyitems(config, items):
    rule = config.getoption("--rule")
    if rule is not None:
        items[:] = [item for item in items if rule in rules_of(item)]
    if hasattr(config, "workerinput"):  # several programs, which take files in this order
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: (item.path.parent.name not in SLOW, -tests[item.path]))


def pytest_collection_finish():
    """Have the collector leave alone what is there by now: eleven thousand tests, for good."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter, config):
    if stored_base.took:
        terminalreporter.section("explanations")
        for line in stored_base.report(config.getoption("--stored")):
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    reports.shorten(report)
    return report


def rules_of(item):
    return {number for marker in item.iter_markers("rule") for number in marker.args}


@pytest.fixture(autouse=True)
def no_callbacks_of_the_collector():
    """Have no code run in the collector: what is raised there is lost, an interruption as well.

    Hypothesis leaves a callback behind once it has run.
    """
    gc.callbacks[:] = [each for each in gc.callbacks if "hypothesis" not in each.__module__]


@pytest.fixture(autouse=True)
def no_exception_stays_handled():
    """Fail a test that leaves an exception "being handled" behind: the context of all later ones.

    CPython 3.11 does where a trace function has raised. So that is done in a thread of its own.
    """
    before = sys.exception()
    yield
    assert sys.exception() is before, "run what raises from a trace function in its own thread"


@pytest.fixture(autouse=True)
def log_levels_stay():
    """Restore the level of our log: a command sets it for its process, which here is ours."""
    ours = logging.getLogger("antq_actors")
    level = ours.level
    yield
    ours.setLevel(level)


@pytest.fixture(autouse=True)
def no_orphan_stays():
    """Fail a test whose jobs or actors leave a thread behind that does not end after it."""
    before = set(otp.orphans())
    yield
    until(lambda: not set(otp.orphans()) - before, "the end of all threads that were abandoned")


@pytest.fixture(scope="session", autouse=True)
def heed_ctrl_c():
    """Let programs that tests start heed SIGINT: what a shell starts with ``&`` ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["volatile", "durable"])
def place(request, tmp_path):
    """The path argument of AntQ: every promise holds for both kinds of store."""
    return None if request.param == "volatile" else tmp_path / "store"


@pytest.fixture
def app(place):
    """A running application with the queues "default" and "mail"."""
    with AntQ(place, queues={"default": 2, "mail": 2}) as running:
        yield running


@pytest.fixture
def paused(app):
    """The same, with its queues paused: what is enqueued stays as it is."""
    app.queue("default").pause()
    app.queue("mail").pause()
    return app


@pytest.fixture(scope="session")
def base(request, tmp_path_factory):
    """A store with as many jobs as `--stored` says."""
    path = tmp_path_factory.mktemp("base") / "store"
    stored_base.fill(path, request.config.getoption("--stored"))
    return path


@pytest.fixture
def stored(request, base, tmp_path):
    """A copy of it: the path of a store that holds many jobs."""
    path = tmp_path / "stored"
    stored_base.copy(base, path, is_large=request.config.getoption("--stored") >= stored_base.LARGE)
    yield path
    stored_base.remove(path)


@pytest.fixture
def light():
    """A volatile application that runs no queues: for checks that no store can change."""
    with AntQ(start_queues=False) as running:
        yield running


@pytest.fixture
def run():
    """Start applications whose queues look only when told to; afterwards they stop."""
    started = []

    def start(path=None, *, concurrency=5, queues=("default",), **options):
        look_when_told = QueueConfig(concurrency=concurrency, check_interval=3600)
        app = AntQ(path, queues=dict.fromkeys(queues, look_when_told), **options)
        started.append(app)
        return app.start()

    yield start
    for app in reversed(started):
        app.stop(timeout=0)


@pytest.fixture
def controlled(run):
    """Return controlled jobs, of the application that the test makes or that `job` is given."""
    controlled = ControlledJobs()
    yield controlled
    controlled.release_all()


@pytest.fixture
def program(request):
    """Start a program of the test's folder, or other code with "-c"; afterwards it is killed."""
    started = []

    def start(*arguments):
        program = Program(arguments, request.path.parent)
        started.append(program)
        return program

    yield start
    for program in started:
        program.process.kill()
        program.process.communicate()
