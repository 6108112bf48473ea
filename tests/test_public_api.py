"""The names, shapes and types that users' programs rely on."""

import builtins
import dataclasses
import inspect
import pickle
import pydoc
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pykka
import pytest
from support.apps import Plain, settled

import antq_actors
from antq_actors import (
    ACTIVE,
    AntQ,
    AttemptError,
    Job,
    QueueConfig,
    QueueStatus,
    Status,
    Unique,
    Worker,
    errors,
    otp,
    queues,
    worker,
)


class Fails(Worker, max_attempts=2, timeout=30.0, priority=7, unique=Unique(args=["n"])):
    def perform(self, job):
        raise ValueError("no " + str(job.args["n"]))


@worker
def function(n):
    pass


EXPORTS = [
    *("ACTIVE", "AntQ", "AttemptError", "AuditEntry", "Backoff", "Batch", "BatchStatus"),
    *("Breakpoint", "BulkOutcome", "Cancel", "Concurrency"),
    *("EnqueueWith", "Explanation", "Fail", "FunctionWorker", "GateStatus"),
    *("Cron", "CronHandle", "CronInfo", "Every"),
    *("Health", "Imported", "Job", "JobDraft", "JobOptions", "LimitHandle", "LimitInfo"),
    *("Middleware", "NodeInfo"),
    *("Progress", "QueueConfig", "QueueHandle", "QueueInfo", "QueueStatus", "RateLimit"),
    *("RateLimited", "Result", "Snooze", "Status", "Transition", "Unique", "Upcoming"),
    "Worker",
    *("WorkerOptions", "current_job", "worker"),
    *("Group", "Node", "Workflow", "WorkflowRun", "WorkflowStatus", "chain", "group"),
]

ERRORS = [
    *("AntqError", "ConfigError", "NotStarted", "StartError", "AlreadyExists"),
    *("InvalidSchedule", "JobNotFound", "NotCancellable", "NotRetryable", "UnknownQueue"),
    *("WorkerNotFound", "NotAWorker", "StorageError", "StorageFull", "BatchError"),
    *("ForkError", "CronError", "UnknownCron", "LimitReached", "UnknownLimit"),
    *("WorkflowError", "CycleError", "UnknownNode", "WorkflowNotFound"),
    *("JobCancelled", "JobFailed", "ResultNotKept", "ResultTooLarge"),
    *("BatchClosed", "BatchNotFound", "StepError", "DuplicateStep", "Superseded"),
    "NotUndoable",
    "QueueNotPaused",
    *("QueueNotPaused", "BulkEnded", "BulkNotFound"),
]

OTP = [
    *("GenServer", "call", "cast", "reply", "stop", "monitor", "demonitor", "link", "unlink"),
    *("exit", "send_request", "Request", "Ok", "get_state", "suspend", "resume", "trap_exit"),
    *("send_after", "cancel_timer", "whereis", "wait_until_restarted", "ServerRef"),
    *("Monitor", "Timer", "Stop", "Continue", "IGNORE", "NOREPLY", "IdleTimeout", "Normal"),
    *("Shutdown", "Killed", "NoProc", "Crash", "Down", "Exited", "OtpError", "CallExit"),
    *("CallTimeout", "CallCycle", "StartError", "DuplicateChildId", "AlreadyStarted"),
    *("AlreadyPresent", "NotFound", "Running", "Restarting", "MaxChildren", "Supervisor"),
    *("DynamicSupervisor", "ChildSpec", "ChildInfo", "Counts", "Restart", "Strategy"),
    *("AutoShutdown", "BRUTAL_KILL", "RESTARTING", "orphans", "tree", "Node"),
]


@pytest.mark.parametrize("name", EXPORTS + ERRORS)
def test_the_package_exports(name):
    assert name in antq_actors.__all__
    assert hasattr(antq_actors, name)


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_stands_in_errors_under_antqerror(name):
    assert issubclass(getattr(errors, name), errors.AntqError)
    assert getattr(errors, name) is getattr(antq_actors, name)


def test_dir_shows_what_is_exported_and_nothing_that_is_left_over():
    modules = {"errors", "explain", "maintenance", "otp", "queues", "telemetry"}
    modules |= {"cluster"} if find_spec("ray") else set()

    shown = {name for name in dir(antq_actors) if not name.startswith("__")}

    assert shown == {*antq_actors.__all__, *modules}
    assert sorted(antq_actors.__all__) == sorted({*EXPORTS, *ERRORS})
    assert {"__version__", "__doc__", "__all__"} <= set(dir(antq_actors))


@pytest.mark.parametrize(
    ("module", "more"),
    [
        (errors, set()),
        (antq_actors.maintenance, set()),
        (queues, set()),
        (otp, {"exit"}),
        (otp.events, set()),
        (otp.chaos, {"exit"}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_dir_of_a_public_module_shows_what_is_for_users(module, more):
    shown = {name for name in dir(module) if not name.startswith("__")}

    assert shown == {*module.__all__} | more
    assert all(hasattr(module, name) for name in shown)
    own = {
        name
        for name, each in vars(module).items()
        if inspect.isclass(each) and each.__module__ == module.__name__ and name[0] != "_"
    }
    assert own <= shown


def test_help_shows_the_package_whatever_is_installed():
    page = pydoc.plain(pydoc.render_doc(antq_actors))

    assert re.search(r"list_jobs\([\s|]*self,[\s|]*\*,[\s|]*status", page)  # on one line or several
    assert ("cluster" in dir(antq_actors)) == (find_spec("ray") is not None)


OF_PYTHON = {
    *("Any", "Callable", "Collection", "Iterator", "Mapping", "None", "Path", "Self"),
    *("C", "P", "R"),
}
"""The standard library's, and type variables."""

RETURNING = [AntQ, Job, Worker, antq_actors.EnqueueWith]
RETURNING += [antq_actors.FunctionWorker, antq_actors.QueueHandle]


@pytest.mark.parametrize("cls", RETURNING, ids=lambda cls: cls.__name__)
def test_the_types_that_public_methods_return_are_exported(cls):
    functions = {
        name: getattr(member, "fget", None) or getattr(cls, name)
        for name, member in inspect.getmembers_static(cls)
        if not name.startswith(("_", "antq_"))
    }
    returned = {
        name: re.findall(r"\b[A-Z]\w*", str(function.__annotations__["return"]))
        for name, function in functions.items()
        if inspect.isroutine(function) and "return" in getattr(function, "__annotations__", {})
    }

    assert len(returned) > 1
    assert {
        name: types
        for name, types in returned.items()
        if not {*types} <= {*antq_actors.__all__, *otp.__all__, *OF_PYTHON}
    } == {}


@pytest.mark.parametrize("cls", [QueueStatus, antq_actors.NodeInfo, Job, AttemptError])
def test_the_types_of_public_fields_are_exported(cls):
    types = re.findall(r"\b[A-Z]\w*", str(cls.__annotations__))

    assert {*types} <= {*antq_actors.__all__, *OF_PYTHON}


OF_OTP = [otp.ChildInfo, otp.ChildSpec, otp.Counts, otp.Down, otp.Exited, otp.Handling]
OF_OTP += [otp.Node, otp.Request, otp.Task, otp.TaskExit]


@pytest.mark.parametrize("cls", OF_OTP, ids=lambda cls: cls.__name__)
def test_the_types_that_otp_gives_out_are_exported_there(cls):
    of_fields = getattr(cls, "__annotations__", {}).values()
    of_methods = [
        function.__annotations__["return"]
        for name, function in inspect.getmembers(cls, inspect.isroutine)
        if name[0] != "_" and "return" in getattr(function, "__annotations__", {})
    ]
    types = re.findall(r"\b[A-Z]\w*", " ".join(map(str, [*of_fields, *of_methods])))

    known = {*otp.__all__, *OF_PYTHON, "RESTARTING"}
    known |= {"Hashable", "AbstractContextManager", "ForwardRef"}
    assert {*types} - known == set()


def test_some_errors_are_value_errors_or_storage_errors_too():
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.InvalidSchedule, ValueError)
    assert issubclass(errors.StorageFull, errors.StorageError)


@pytest.mark.parametrize("name", ["SetConcurrency", "Pause", "Resume", "GetStatus", "Wake"])
def test_the_messages_of_a_queue_stand_in_queues(name):
    assert hasattr(queues, name)


@pytest.mark.parametrize("name", OTP)
def test_supervision_stands_in_otp(name):
    assert hasattr(otp, name)


def test_everything_of_otp_at_once_shadows_no_builtin():
    names: dict[str, object] = {}
    exec("from antq_actors.otp import *", names)  # noqa: S102 - what is to be shown

    del names["__builtins__"]  # of exec()
    assert [name for name in names if hasattr(builtins, name)] == []
    assert names["stop"] is otp.stop
    assert callable(otp.exit)


def test_the_package_is_typed():
    assert files("antq_actors").joinpath("py.typed").is_file()


STATUSES = ["enqueued", "running", "scheduled", "completed", "failed", "retrying", "cancelled"]
"""Ant's names."""


def test_the_statuses_are_upper_case_members_with_ants_names_and_suspended():
    assert {member.name: member.value for member in Status} == {
        name.upper(): name for name in [*STATUSES, "suspended"]
    }
    assert set(Status) - {Status.COMPLETED, Status.FAILED, Status.CANCELLED} == ACTIVE
    assert Status.ENQUEUED == "enqueued"
    assert str(Status.ENQUEUED) == "enqueued"


def test_the_arguments_of_an_application_have_the_promised_defaults():
    parameters = inspect.signature(AntQ).parameters

    assert {name: one.default for name, one in parameters.items()} == {
        "path": None,
        "queues": None,
        "start_queues": True,
        "retention": timedelta(days=14),
        "max_interruptions": 3,
        "signing_key_file": None,
        "encryption_key_file": None,
        "encrypt": "all",
        "crons": (),
        "middleware": (),
        "clock": None,
    }
    assert parameters["path"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert all(
        one.kind is inspect.Parameter.KEYWORD_ONLY
        for name, one in parameters.items()
        if name != "path"
    )


def test_a_queue_config_has_a_concurrency_of_five_and_looks_every_five_seconds():
    assert (QueueConfig().concurrency, QueueConfig().check_interval) == (5, 5.0)


def test_a_new_job_has_exactly_the_promised_fields(paused):
    before = datetime.now(UTC)

    job = Plain.perform_async({"n": 1})

    after = datetime.now(UTC)
    assert isinstance(job, Job)
    assert job.id == 1
    assert job.worker == "support.apps:Plain"
    assert job.queue_name == "default"
    assert isinstance(job.args, Mapping)
    assert job.args == {"n": 1}
    assert (job.priority, job.attempts, job.max_attempts, job.interruptions) == (0, 0, 1, 0)
    assert job.status is Status.ENQUEUED
    assert job.errors == ()
    assert before <= job.inserted_at <= after
    assert job.inserted_at == job.updated_at == job.scheduled_at
    assert job.inserted_at.utcoffset() == timedelta(0)
    assert paused.get_worker(job.id) == job


def test_a_jobs_opts_are_the_effective_options(paused):
    given = Fails.perform_async({"n": 1}, max_attempts=9)

    for job in (given, paused.get_worker(given.id), Fails.build({"n": 1}, max_attempts=9)):
        assert isinstance(job.opts, Mapping)
        assert job.opts["max_attempts"] == job.max_attempts == 9
        assert job.opts["timeout"] == 30.0
        assert job.opts["unique"] == Unique(args=["n"])
        assert job.opts["priority"] == job.priority == 7


@pytest.mark.parametrize("field", ["status", "args", "id", "brandnew"])
def test_a_job_is_frozen(field):
    job = Plain.build()

    with pytest.raises(AttributeError):
        setattr(job, field, 1)


def test_a_failed_jobs_errors_are_newest_first_with_instants_in_utc(app):
    job = Fails.perform_async({"n": 1}, max_attempts=1)
    first = settled(app, job)
    app.retry_worker(job)

    job = settled(app, job)

    newest, oldest = job.errors
    assert all(isinstance(entry, AttemptError) for entry in job.errors)
    assert oldest == first.errors[0]
    assert (newest.attempt, newest.error) == (1, "no 1")
    assert "ValueError: no 1" in newest.stack_trace
    assert newest.attempted_at > oldest.attempted_at
    assert newest.attempted_at.utcoffset() == timedelta(0)
    assert job.scheduled_at is None


def test_a_built_job_has_id_0_and_needs_no_application():
    job = Plain.build({"n": 1}, schedule_in=60, queue="anything")

    assert (job.id, job.status, job.queue_name) == (0, Status.SCHEDULED, "anything")
    assert job.scheduled_at - job.inserted_at == timedelta(seconds=60)
    assert Plain.build().queue_name == "default"
    assert function.build(n=1).args == {"n": 1}


def test_build_stores_nothing(paused):
    Plain.build({"n": 1})

    assert paused.count_workers() == 0


TREE = ["storage", "queues", "rescuer", "pruner", "cron", "flow"]


def test_a_running_application_shows_its_path_its_root_and_its_queues(app):
    assert isinstance(app.path, Path)
    assert app.path.is_dir()
    root = otp.tree(app.root)
    assert [child.name.rpartition(".")[2] for child in root.children] == TREE
    assert [info.id for info in otp.Supervisor.which_children(app.root)] == TREE


def test_a_queue_handle_tells_the_status_and_shows_the_actor(paused):
    job = Plain.perform_async()

    status = paused.queue("default").status()

    assert isinstance(status, QueueStatus)
    assert [field.name for field in dataclasses.fields(status)] == [
        *("name", "concurrency", "paused", "running", "counts"),
        *("due", "oldest_due", "executors", "abandoned", "progress"),
    ]
    assert (status.name, status.concurrency, status.paused) == ("default", 2, True)
    assert status.running == ()
    assert status.counts == {**dict.fromkeys(Status, 0), Status.ENQUEUED: 1}
    assert status.counts == {
        each: paused.count_workers(status=each, queue_name="default") for each in Status
    }
    assert isinstance(paused.queue("default").ref, pykka.ActorRef | otp.ServerRef)
    assert job.id == 1


@pytest.mark.parametrize(
    "error",
    [
        errors.AlreadyExists("in the way", Plain.build()),
        errors.NotCancellable("runs", Status.RUNNING),
        errors.NotRetryable("runs", Status.RUNNING),
        errors.BatchError("item 3", 3, [1, 2]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_travel_between_processes_with_what_they_carry(error):
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here

    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_the_version_is_where_the_build_finds_it():
    pattern = r"^__version__ = [\"'](?P<version>[^\"']+)"  # as hatch has it, without an annotation
    source = Path(antq_actors.__file__).read_text(encoding="utf-8")

    assert re.search(pattern, source, re.MULTILINE)["version"] == antq_actors.__version__
