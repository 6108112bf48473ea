"""The backend of django.tasks, of Django itself or of the package django-tasks."""

import copy
import dataclasses
import json
import shutil
import signal
import sys
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, SystemCheckError
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from support.apps import settled, until
from support.django_sites import HERE, set_up, settings_of
from support.programs import Program, in_a_fork, run_python

from antq_actors import AlreadyExists, AntQ, JobCancelled, Middleware, Status, Unique, worker
from antq_actors.integrations.django import AntqBackend, enqueue_on_commit
from antq_actors.integrations.django.compat import (
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    signals,
    task_backends,
)
from antq_actors.integrations.django.connections import Connections
from antq_actors.integrations.django.worker import TaskWorker


@worker
def plain():
    pass


@pytest.fixture(scope="module", autouse=True)
def _site(tmp_path_factory):
    with set_up(tmp_path_factory):
        yield


@pytest.fixture
def tasks():
    tasks = import_module("django_site.tasks")
    tasks.entered.clear()
    tasks.allowed.clear()
    return tasks


@pytest.fixture
def backend(tmp_path):
    """The backend, in a process that only enqueues."""
    with override_settings(TASKS=settings_of(tmp_path / "jobs")):
        yield task_backends["default"]


@pytest.fixture(scope="module")
def _server(tmp_path_factory):
    path = tmp_path_factory.mktemp("server") / "jobs"
    of_tasks = {"django_site.tasks.in_process": {"executor": "process"}}
    with override_settings(TASKS=settings_of(path, RUN_IN_SERVER=True, TASKS=of_tasks)):
        yield


@pytest.fixture
def server(_server):
    """The backend, in a process that runs the queues, too."""
    return task_backends["default"]


@pytest.fixture
def done(server):
    """A function that waits until a task has ended, and returns its result."""

    def wait(result):
        settled(server.app, server.app.get_job(int(result.id)))
        result.refresh()
        return result

    return wait


def status(name):
    return TaskResultStatus[name]


# ---- enqueue -----------------------------------------------------------------------------------


def test_a_task_becomes_a_job_of_its_queue_with_its_priority_and_time(backend, tasks):
    due = timezone.now() + timedelta(hours=1)

    result = tasks.send.using(run_after=due).enqueue("jane", copies=2)

    job = backend.app.get_job(int(result.id))
    assert (result.id, result.status) == (str(job.id), status("READY"))
    assert (result.args, result.kwargs) == (["jane"], {"copies": 2})
    assert (job.queue_name, job.priority, job.scheduled_at) == ("mail", 7, due)
    assert job.worker == "django.tasks:django_site.tasks.send"
    assert result.enqueued_at == job.inserted_at
    assert (result.started_at, result.finished_at, result.worker_ids) == (None, None, [])


def test_a_process_that_enqueues_performs_nothing(backend, tasks):
    result = tasks.add.enqueue(1)

    assert not backend.app.runs_queues
    assert backend.app.get_job(int(result.id)).status is Status.ENQUEUED


def test_a_result_that_is_read_again_is_the_same(backend, tasks):
    result = tasks.send.using(run_after=datetime(2099, 1, 1, tzinfo=UTC)).enqueue(to="jane")

    read = tasks.send.get_result(result.id)
    assert dataclasses.asdict(read) == dataclasses.asdict(result)


@pytest.mark.parametrize("wrong", ["", "0", "-1", "+1", " 1", "01", "1.0", "x", "9" * 30, "٣", "7"])
def test_an_id_of_another_form_does_not_exist(backend, tasks, wrong):
    tasks.add.enqueue(1)

    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(wrong)


def test_a_job_that_is_no_task_does_not_exist(backend, tasks):
    tasks.add.enqueue(1)
    job = backend.app.enqueue(plain)

    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(str(job.id))


def test_arguments_that_are_no_json_are_refused_and_nothing_is_stored(backend, tasks):
    tasks.add.enqueue(1)

    with pytest.raises(TypeError, match="Unsupported type"):
        tasks.add.enqueue(object())

    assert backend.app.count_jobs() == 1


def test_a_unique_task_is_enqueued_once_by_the_arguments_it_names(backend, tasks):
    tasks.once.enqueue(1)
    tasks.once.enqueue(number=2)

    with pytest.raises(AlreadyExists):
        tasks.once.enqueue(number=1, other=5)


@pytest.mark.usefixtures("backend")
def test_a_task_that_was_enqueued_before_makes_no_worker_anew(tasks):
    made = []
    code = TaskWorker.__init__.__code__
    tasks.once.enqueue(1)

    sys.setprofile(lambda frame, event, _: event == "call" and made.append(frame.f_code))
    tasks.once.using(priority=1).enqueue(2)
    sys.setprofile(None)

    assert code not in made


def test_options_of_a_task_are_those_of_its_decorator_and_of_the_settings_over_them(
    tmp_path, tasks
):
    configured = {"django_site.tasks.fail_once": {"max_attempts": 7, "timeout": 3}}
    with override_settings(TASKS=settings_of(tmp_path / "jobs", TASKS=configured)):
        app = task_backends["default"].app
        job = app.get_job(int(tasks.fail_once.enqueue().id))
        other = app.get_job(int(tasks.add.enqueue(1).id))

    assert (job.max_attempts, job.opts["timeout"]) == (7, 3)
    assert (other.max_attempts, other.opts["timeout"]) == (1, None)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"executor": "async"}, "async def"),
        ({"unique": Unique(args=["number"])}, "number"),
    ],
)
def test_a_wrong_option_of_a_task_is_refused_where_it_is_defined(tasks, options, said):
    with pytest.raises(InvalidTask, match=said):
        tasks.task(**options)(tasks.add.func)


def test_enqueue_on_commit_waits_for_the_commit(backend, tasks):
    with transaction.atomic():
        enqueue_on_commit(tasks.add, 1, other=2)
        before = backend.app.antq_is_running
    with transaction.atomic():
        enqueue_on_commit(tasks.add, 2)
        transaction.set_rollback(True)
    enqueue_on_commit(tasks.add, 3)

    assert not before
    assert [job.args["args"] for job in backend.app.list_jobs()] == [[1], [3]]


def test_a_fork_enqueues_with_an_application_of_its_own(backend, tasks):
    tasks.add.enqueue(1)

    said = in_a_fork(lambda: tasks.add.enqueue(2).id)

    assert said == repr("2")
    assert backend.app.count_jobs() == 2


# ---- results -----------------------------------------------------------------------------------


def test_a_task_that_completes_has_its_result(done, tasks):
    result = done(tasks.add.enqueue(1, other=2))

    assert (result.status, result.return_value) == (status("SUCCESSFUL"), 3)
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at
    assert (result.attempts, result.errors) == (1, [])


def test_a_coroutine_is_performed(done, tasks):
    assert done(tasks.add_async.enqueue(1, other=2)).return_value == 3


def test_a_task_that_takes_its_context_knows_its_attempt_and_id(done, tasks):
    result = done(tasks.attempts.enqueue())

    assert result.return_value == [1, result.id, "RUNNING"]


def test_a_task_that_fails_has_the_class_of_the_exception(done, tasks):
    result = done(tasks.fail.enqueue("no: such thing"))

    assert result.status is status("FAILED")
    (error,) = result.errors
    assert error.exception_class is tasks.Broken
    assert error.traceback.endswith("Broken: no: such thing\n")
    with pytest.raises(ValueError, match="failed"):
        result.return_value  # noqa: B018 - it raises


def test_the_class_path_of_an_error_has_the_function_that_defines_the_class(done, tasks):
    (error,) = done(tasks.fail_with_a_class_of_its_own.enqueue()).errors

    path = "django_site.tasks.fail_with_a_class_of_its_own.<locals>.Own"
    assert error.exception_class_path == path


def test_a_task_that_is_retried_keeps_its_first_start_and_counts_its_attempts(done, tasks):
    result = done(tasks.fail_once.enqueue())

    assert (result.status, result.return_value) == (status("SUCCESSFUL"), 2)
    assert [error.exception_class for error in result.errors] == [tasks.Broken]
    assert result.worker_ids == ["node-1", "node-1"]
    assert result.started_at < result.last_attempted_at


def test_what_is_returned_and_no_json_fails_the_task(done, tasks):
    result = done(tasks.no_json.enqueue())

    assert result.status is status("FAILED")
    assert result.errors[0].exception_class is TypeError


def test_a_task_is_running_and_a_cancelled_one_has_failed(server, done, tasks):
    result = tasks.wait.enqueue()
    assert tasks.entered.wait(60)
    result.refresh()
    running = result.status, result.attempts, result.is_finished
    waits = tasks.add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(1)

    server.app.cancel_job(int(waits.id))
    tasks.allowed.set()

    assert running == (status("RUNNING"), 1, False)
    assert done(waits).status is status("FAILED")
    assert waits.attempts == 0
    assert done(result).status is status("SUCCESSFUL")


def test_a_task_in_a_job_process_has_django_set_up(done, tasks):
    assert done(tasks.in_process.enqueue()).return_value == [True, "default"]


def test_a_task_in_a_job_process_enqueues_at_the_application_that_performs_it(tasks):
    described = copy.deepcopy(django_site_tasks())  # as the process reads it, but for this:
    in_process = {"django_site.tasks.enqueues_in_process": {"executor": "process"}}
    described["default"]["OPTIONS"] |= {"RUN_IN_SERVER": True, "TASKS": in_process}
    with override_settings(TASKS=described):
        backend = task_backends["default"]
        id_ = ended(backend.app, tasks.enqueues_in_process.enqueue()).return_value
        enqueued = ended(backend.app, backend.get_result(id_))

    assert enqueued.return_value == 5


def test_an_application_of_the_same_path_that_runs_here_is_used(tmp_path, tasks):
    with (
        override_settings(TASKS=settings_of(tmp_path / "jobs")),
        AntQ(tmp_path / "jobs", queues={"default": 1}) as app,
    ):
        result = ended(app, tasks.add.enqueue(1))

    assert result.return_value == 1


def test_two_backends_may_share_a_path(tmp_path, tasks):
    both = settings_of(tmp_path / "jobs")
    both["bulk"] = both["default"] | {"QUEUES": ["bulk"]}
    with override_settings(TASKS=both):
        first = tasks.add.enqueue(1)
        second = tasks.add.using(backend="bulk", queue_name="bulk").enqueue(2)
        read = task_backends["bulk"].get_result(first.id), task_backends["default"].get_result("2")

    assert (read[0].args, read[1].args) == ([1], [2])
    assert (read[1].backend, second.backend) == ("bulk", "bulk")


def test_connections_are_closed_around_each_job(done, tasks):
    first = done(tasks.asks_database.enqueue())
    second = done(tasks.asks_database.enqueue())

    assert (first.return_value, second.return_value) == ([False], [False])


def test_signals_are_sent_by_the_class_of_the_backend(done, tasks, caplog):
    heard = []

    def hear(name, sender, task_result, **_):
        heard.append((name, sender, task_result.id, task_result.status))

    names = ("task_enqueued", "task_started", "task_finished")
    receivers = {name: lambda name=name, **sent: hear(name, **sent) for name in names}
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver)

    result = done(tasks.add.enqueue(1))
    failed = done(tasks.fail.enqueue())

    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver)
    assert {each[1] for each in heard} == {AntqBackend}
    of_first = [(name, state) for name, _, id_, state in heard if id_ == result.id]
    assert set(of_first) == set(
        zip(names, map(status, ("READY", "RUNNING", "SUCCESSFUL")), strict=True)
    )
    assert [each[3] for each in heard if each[0] == "task_finished" and each[2] == failed.id] == [
        status("FAILED")
    ]


@pytest.fixture
def finished():
    """The results that `task_finished` was sent with."""
    heard = []

    def hear(task_result, **_):
        heard.append(task_result)

    signals.task_finished.connect(hear)
    yield heard
    signals.task_finished.disconnect(hear)


HANGING = ["hang", "hang_async"]


@contextmanager
def running(path, **options):
    """Run the queues of a backend with these options of the tasks that hang."""
    of_tasks = {f"django_site.tasks.{name}": options for name in HANGING}
    with override_settings(TASKS=settings_of(path, RUN_IN_SERVER=True, TASKS=of_tasks)):
        yield task_backends["default"].app


@pytest.mark.parametrize("name", HANGING)
def test_a_task_that_times_out_is_finished_as_it_is_stored(tmp_path, tasks, finished, name):
    with running(tmp_path / "jobs", timeout=0.2) as app:
        result = ended(app, getattr(tasks, name).enqueue())

    (heard,) = finished
    assert (heard.id, heard.status) == (result.id, status("FAILED"))
    assert heard.finished_at is not None
    assert [each.exception_class for each in (*heard.errors, *result.errors)] == [TimeoutError] * 2


@pytest.mark.parametrize("name", HANGING)
def test_a_task_that_is_cancelled_while_it_runs_is_finished(tmp_path, tasks, finished, name):
    with running(tmp_path / "jobs") as app:
        result = getattr(tasks, name).enqueue()
        assert tasks.entered.wait(60)
        app.cancel_job(int(result.id))
        result = ended(app, result)

    (heard,) = finished
    assert (heard.id, heard.status) == (result.id, status("FAILED"))
    assert [each.exception_class for each in heard.errors] == [JobCancelled]
    assert heard.errors == result.errors


def test_a_task_that_is_given_back_or_retried_is_not_finished(tmp_path, tasks, finished):
    with running(tmp_path / "jobs", timeout=0.2, max_attempts=2, retry_delay=3_600) as app:
        retried = tasks.hang.enqueue()
        until(lambda: app.get_job(int(retried.id)).status is Status.RETRYING, "its retry")
        tasks.entered.clear()
        tasks.hang_async.using(queue_name="mail").enqueue()
        assert tasks.entered.wait(60)
        app.stop(timeout=0.1)

    assert finished == []


def test_a_task_in_a_job_process_that_is_cancelled_is_finished_there(tmp_path, tasks):
    file = tmp_path / "finished"
    with override_settings(
        TASKS=settings_of(
            *(tmp_path / "jobs",),
            RUN_IN_SERVER=True,
            TASKS={"django_site.tasks.hang": {"executor": "process"}},
        )
    ):
        app = task_backends["default"].app
        result = tasks.hang.enqueue(file=str(file))
        until(lambda: Path(f"{file}.begun").exists(), "the task to begin")
        app.cancel_job(int(result.id))
        ended(app, result)

    assert file.read_text() == "FAILED"


def test_a_task_that_was_moved_away_has_no_result(backend, tasks, monkeypatch):
    result = tasks.add.enqueue(1)
    monkeypatch.delattr(tasks, "add")

    with pytest.raises(TaskResultDoesNotExist, match=r"django_site\.tasks\.add"):
        backend.get_result(result.id)


# ---- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"PATHS": "jobs"}, "PATHS"),
        ({"PATH": 5}, "path"),
        ({"RUN_IN_SERVER": 1}, "RUN_IN_SERVER"),
        ({"PATH": None}, "PATH"),
        ({"MAX_INTERRUPTIONS": 0}, "max_interruptions"),
        ({"TASKS": {"shop.tasks.send": {"retries": 3}}}, "retries"),
        ({"TASKS": {"shop.tasks.send": {3: 3}}}, "no option 3"),
        ({"TASKS": {"shop.tasks.send": {"max_attempts": 0}}}, "max_attempts"),
        ({"TASKS": ["shop.tasks.send"]}, "TASKS"),
    ],
)
def test_wrong_settings_are_errors_of_the_system_checks(options, said, tmp_path):
    with (
        override_settings(TASKS=settings_of(**{"path": tmp_path, **options})),
        pytest.raises(SystemCheckError, match=said),
    ):
        call_command("check")


def test_right_settings_pass_the_system_checks(backend, tmp_path):
    assert list(backend.check()) == []
    assert not list(tmp_path.iterdir())


def test_middleware_in_any_sequence_keeps_the_look_at_connections(tmp_path):
    with override_settings(TASKS=settings_of(tmp_path / "jobs", MIDDLEWARE=deque([Middleware()]))):
        pipeline = task_backends["default"].app._config.middleware

    assert [type(each) for each in pipeline.middleware] == [Connections, Middleware]


def test_a_backend_with_any_queue_takes_jobs_for_any(tmp_path, tasks):
    with override_settings(TASKS=settings_of(tmp_path / "jobs", queues=[])):
        result = tasks.add.using(queue_name="other").enqueue(1)
        job = task_backends["default"].app.get_job(int(result.id))

    assert job.queue_name == "other"


def test_without_time_zones_results_are_naive(tmp_path, tasks):
    with override_settings(TASKS=settings_of(tmp_path / "jobs"), USE_TZ=False):
        due = datetime.now() + timedelta(hours=1)  # noqa: DTZ005 - as Django has it then
        result = tasks.add.using(run_after=due).enqueue(1)
        read = tasks.add.get_result(result.id)

    assert read.task.run_after == due
    assert read.enqueued_at.tzinfo is None


@pytest.mark.parametrize("missing", ["django", "django_tasks"])
def test_a_missing_library_is_an_import_error_that_names_what_to_install(missing):
    code = f"""
import sys
sys.modules[{missing!r}] = None
sys.modules["django.tasks"] = None
try:
    import antq_actors.integrations.django
except ImportError as error:
    print(error)
"""
    said = run_python("-c", code, check=True).stdout

    assert "antq-actors[django]" in said
    assert len(said.splitlines()) == 1


# ---- manage.py antq ----------------------------------------------------------------------------


def manage(*arguments):
    return run_python(HERE / "django_site" / "manage.py", *arguments)


def test_manage_py_antq_runs_the_queues_and_looks_after_the_jobs(tasks):
    with override_settings(TASKS=django_site_tasks()):
        app = task_backends["default"].app
        waiting = tasks.add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(1)
        failed = tasks.fail.enqueue()
        runs = Program([HERE / "django_site" / "manage.py", "antq", "start"], HERE)
        try:
            settled(app, app.get_job(int(failed.id)))
            listed = json.loads(manage("antq", "list", "--json").stdout)
            shown = manage("antq", "show", waiting.id)
            cancelled = manage("antq", "cancel", waiting.id)
            retried = manage("antq", "retry", "999")
            waiting.refresh()
            after_cancel = waiting.status
        finally:
            runs.send(signal.SIGTERM)
            code, _, errors = runs.end()

    assert code == 0, errors
    workers = {str(job["id"]): job["worker"] for job in listed}
    assert workers[waiting.id] == "django.tasks:django_site.tasks.add"
    assert workers[failed.id] == "django.tasks:django_site.tasks.fail"
    assert "django_site.tasks.add" in shown.stdout
    assert cancelled.returncode == 0, cancelled.stderr
    assert (retried.returncode, "999" in retried.stderr) == (1, True)
    assert after_cancel is TaskResultStatus.FAILED


def django_site_tasks():
    return import_module("django_site.settings").TASKS


def test_manage_py_antq_without_a_backend_of_antq_says_so():
    with (
        override_settings(TASKS={}),
        pytest.raises(CommandError, match="AntqBackend"),
    ):
        call_command("antq", "list")


def test_manage_py_antq_starts_anew_when_a_file_changes(tasks, tmp_path):
    folder = tmp_path / "django_site"
    shutil.copytree(HERE / "django_site", folder, ignore=shutil.ignore_patterns("__pycache__"))
    with override_settings(TASKS=django_site_tasks()):
        app = task_backends["default"].app
        runs = Program([folder / "manage.py", "antq", "start", "--reload"], tmp_path)
        try:
            errors_until(runs, "antq: path")
            first = ended(app, tasks.add.enqueue(1))
            file = folder / "tasks.py"
            file.write_text(file.read_text().replace("return one + other", "return 'anew'"))
            errors_until(runs, "antq: path")
            second = ended(app, tasks.add.enqueue(1))
        finally:
            runs.send(signal.SIGTERM)
            code, _, errors = runs.end()

    assert (first.return_value, second.return_value) == (1, "anew")
    assert code == 0, errors


def errors_until(program, beginning):
    """Read what a program says on standard error until a line begins like this."""
    while not (line := program.process.stderr.readline()).startswith(beginning):
        assert line, "the program ended"


def ended(app, result):
    settled(app, app.get_job(int(result.id)))
    result.refresh()
    return result
