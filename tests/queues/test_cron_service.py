"""The cron service: each instant gets one job, whatever happens to nodes, clocks and entries."""

import logging
from contextlib import suppress

import pytest
from msgspec.structs import replace
from support.apps import until
from support.stored_jobs import a_new_job

from antq_actors import Cron, Every, Status, StorageError
from antq_actors.jobs.instant import SECOND
from antq_actors.jobs.middleware import Middleware, check_middleware
from antq_actors.jobs.outcome import Completed
from antq_actors.otp import Killed, call
from antq_actors.otp import StartError as OtpStartError
from antq_actors.otp import exit as exit_
from antq_actors.queues.node import QueueNode
from antq_actors.queues.services.cron import CronConfig, CronDeclarations, CronService, Fire
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs import cron_turns, crons
from antq_actors.storage.jobs.crons import CronDeclaration
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

HOUR = 3_600
DAY = 24 * HOUR
NAME = "hourly"


def an_entry(entry=None, *, name=NAME, **job):
    entry = entry or Every(HOUR, overlap="allow")
    return CronDeclaration(name, entry, a_new_job(queue="default", **job), entry.digest())


class Here:
    """A node's cron service over a store; its clock is turned by the test."""

    def __init__(self, store, clock, start, retention=None):
        self.store, self.clock, self.start = store, clock, start
        self.config = CronConfig(max_interruptions=3, retention=retention)
        # At the start of an hour, so that what is to come can be counted.
        clock.now -= clock.now % (DAY * SECOND)

    def node(self, *declarations):
        """Start the service of a new node that declares these entries."""
        node = QueueNode(self.store, ["default"])
        declared = CronDeclarations(declarations)
        service = self.start(CronService, self.store, node, declared, self.config, self.clock)
        call(service, Fire())  # its first turn is over, so none sees the clock turn
        return service

    def after(self, service, seconds):
        """Turn the clock and let the service look; return how many jobs it enqueued."""
        before = len(self.jobs())
        self.clock.advance(seconds)
        call(service, Fire())  # or its own timer was faster
        return len(self.jobs()) - before

    def row(self, name=NAME):
        return self.store.read(crons.one, name).row

    def jobs(self):
        return self.store.list()

    def instants(self):
        """Return the instants for which there are jobs, in seconds from now."""
        planned = [job.spec.flow.scheduled_for for job in self.jobs()]
        return [(at - self.clock.now) // SECOND for at in planned]

    def end(self, id_):
        """Have a job performed."""
        jobs = self.store.work("default", [], node=1, limit=100, now=self.clock.now).jobs
        for job in jobs:
            self.store.write(
                JobStore.settle,
                Settlement(job.id, job.state.execution, Completed()),
                now=self.clock.now,
            )
        assert self.store.read(JobReader.get, id_).state.status is Status.COMPLETED


@pytest.fixture
def here(store, clock, start):
    return Here(store, clock, start)


class Watching(Middleware):
    """Sees the jobs of entries, and refuses those that it is told to."""

    def __init__(self):
        self.calls = []
        self.refuses = set()

    def on_enqueue(self, draft):
        self.calls.append(f"on {draft.worker}")
        if "on" in self.refuses:
            raise LookupError("no such tenant")
        draft.meta["seen"] = str(len(self.calls))

    def around_enqueue(self, draft, call):
        self.calls.append("before")
        if "around" in self.refuses:
            raise LookupError("not now")
        draft.meta["around"] = "one"
        job = call()
        self.calls.append(f"after {job.id}")
        if "late" in self.refuses:
            raise LookupError("too late")
        return job

    def around_enqueue_many(self, drafts, call):
        self.calls.append(f"before {len(drafts)}")
        ids = call()
        self.calls.append(f"after {len(ids)}")
        return ids


@pytest.fixture
def watching(here):
    """The middleware of the nodes of this store."""
    middleware = Watching()
    pipeline = check_middleware([middleware])
    here.config = CronConfig(max_interruptions=3, retention=None, middleware=pipeline)
    return middleware


# ---- within middleware ------------------------------------------------------------------------


def test_the_job_of_an_instant_passes_the_middleware(here, watching):
    service = here.node(an_entry(worker="shop:Mail"))

    assert [here.after(service, HOUR) for _ in range(2)] == [1, 1]

    assert watching.calls == [
        *("on shop:Mail", "before", "after 1"),
        *("on shop:Mail", "before", "after 2"),
    ]
    assert here.jobs()[0].spec.meta == {"seen": "1", "around": "one"}


@pytest.mark.parametrize("where", ["on", "around"])
def test_a_job_that_the_middleware_refuses_is_skipped(here, watching, caplog, where):
    service = here.node(an_entry())
    watching.refuses = {where}

    assert here.after(service, HOUR) == 0

    assert (here.row().skipped, here.row().last_job) == (1, None)
    assert "LookupError" in caplog.text
    assert NAME in caplog.text
    watching.refuses = set()
    assert here.after(service, HOUR) == 1
    assert here.row().skipped == 1


def test_a_job_that_is_stored_when_the_middleware_raises_is_counted_once(here, watching, caplog):
    service = here.node(an_entry())
    watching.refuses = {"late"}

    assert here.after(service, HOUR) == 1
    assert here.row().skipped == 0
    assert "too late" in caplog.text


def test_what_an_entry_catches_up_is_a_batch_for_the_middleware(here, watching):
    service = here.node(an_entry(Every(HOUR, missed="all", overlap="allow")))

    assert here.after(service, 3 * HOUR) == 3

    assert watching.calls[3:] == ["before 3", "after 3"]
    assert [job.spec.meta["seen"] for job in here.jobs()] == ["1", "2", "3"]


def test_entries_that_are_due_together_are_refused_apart(here, watching):
    service = here.node(an_entry(name="a"), an_entry(name="b"))

    until(lambda: here.after(service, HOUR) >= 0 and len(here.jobs()) == 2)

    assert [call for call in watching.calls if call.startswith("after")] == ["after 1", "after 2"]


def test_the_store_refuses_a_duplicate_within_the_middleware(here, watching):
    entry = an_entry(unique=["n"], args={"n": 1})
    service = here.node(entry)

    assert [here.after(service, HOUR) for _ in range(2)] == [1, 0]

    assert here.row().skipped == 1
    assert watching.calls[-1] == "before"


def test_a_start_passes_the_middleware(here, watching):
    here.node(an_entry(Cron("@reboot")))

    assert watching.calls[-1] == "after 1"
    assert here.jobs()[0].spec.meta["around"] == "one"


# ---- instants ---------------------------------------------------------------------------------


def test_an_entry_gets_one_job_at_each_instant(here):
    service = here.node(an_entry())

    assert [here.after(service, HOUR / 4) for _ in range(8)] == [0, 0, 0, 1, 0, 0, 0, 1]
    assert here.instants() == [-HOUR, 0]
    assert {job.spec.flow.cron for job in here.jobs()} == {NAME}
    assert here.row().last_job == here.jobs()[-1].id


def test_several_nodes_make_one_job_for_each_instant(here):
    services = [here.node(an_entry()) for _ in range(4)]

    for _ in range(5):
        assert sum(here.after(service, HOUR / 4) for service in services) == 1
    assert here.instants() == [-4 * HOUR, -3 * HOUR, -2 * HOUR, -HOUR, 0]


@pytest.mark.parametrize(
    ("missed", "made", "left_out"),
    [("once", 1, 23), ("skip", 1, 23), ("all", 24, 0)],
)
def test_after_a_day_without_nodes_what_was_missed_is_as_the_entry_says(
    here, missed, made, left_out
):
    service = here.node(an_entry(Every(HOUR, missed=missed, overlap="allow")))

    assert here.after(service, DAY) == made

    assert here.instants() == [-HOUR * number for number in reversed(range(made))]
    assert here.row().missed == left_out


def test_a_late_instant_is_dropped_beyond_its_grace(here):
    service = here.node(an_entry(Every(HOUR, missed="skip", grace=60)))

    assert here.after(service, HOUR + 61) == 0
    assert here.after(service, HOUR - 61 + 60) == 1
    assert here.row().missed == 1


def test_catching_up_is_limited_and_says_what_was_left_out(here, caplog):
    service = here.node(an_entry(Every(60, missed="all", max_missed=100, overlap="allow")))

    assert here.after(service, DAY) == 100

    assert here.instants()[-1] == 0
    assert here.row().missed == DAY / 60 - 100
    assert f"{NAME!r}" in caplog.text
    assert "max_missed=100" in caplog.text


def test_very_many_instants_are_caught_up_in_several_transactions(here):
    entry = an_entry(Every(1, missed="all", max_missed=1_200, overlap="allow"))
    node = here.store.open_node(["default"])
    here.store.write(crons.declare, [entry], node=node, now=here.clock.now, changes=True)
    here.clock.advance(1_300)

    turns = [here.store.write(cron_turns.fire, now=here.clock.now) for _ in range(4)]
    here.store.close_node(node)

    assert [turn.fired for turn in turns] == [500, 500, 200, 0]
    assert here.instants() == list(range(-1_199, 1))
    assert here.row().missed == 100


def test_many_entries_fire_in_one_turn_after_another(here):
    service = here.node(*(an_entry(name=f"entry-{number}") for number in range(250)))

    assert here.after(service, HOUR) >= 100

    # A turn fires a hundred of them; the others follow at once, by the service's own timer.
    until(lambda: len(here.jobs()) >= 250, "the last one")
    assert len({job.spec.flow.cron for job in here.jobs()}) == 250


def test_jitter_moves_the_job_and_not_the_schedule(here):
    service = here.node(an_entry(Every(HOUR, jitter=600, overlap="allow")))

    here.after(service, HOUR)
    here.after(service, HOUR)

    assert here.instants() == [-HOUR, 0]
    for job in here.jobs():
        moved = job.state.scheduled_at - job.spec.flow.scheduled_for
        assert 0 < moved <= 600 * SECOND
        assert job.state.status is Status.SCHEDULED


# ---- the last job has not ended ----------------------------------------------------------------


def test_an_instant_is_skipped_while_the_last_job_has_not_ended(here):
    service = here.node(an_entry(Every(HOUR)))

    assert [here.after(service, HOUR) for _ in range(3)] == [1, 0, 0]
    here.end(1)

    assert here.after(service, HOUR) == 1
    assert here.row().skipped == 2
    assert here.row().missed == 0


def test_the_last_job_is_cancelled_for_the_new_one(here):
    service = here.node(an_entry(Every(HOUR, overlap="cancel")))

    assert [here.after(service, HOUR) for _ in range(3)] == [1, 1, 1]

    statuses = [job.state.status for job in here.jobs()]
    assert statuses == [Status.CANCELLED, Status.CANCELLED, Status.ENQUEUED]


def test_a_unique_job_that_runs_is_replaced_at_the_next_instant(here):
    unique = {"args": {"to": "x"}, "unique": ("to",)}
    service = here.node(an_entry(Every(HOUR, overlap="cancel"), **unique))
    here.after(service, HOUR)
    here.store.work("default", [], node=1, limit=1, now=here.clock.now)

    assert [here.after(service, HOUR) for _ in range(2)] == [1, 1]

    first, second, third = here.jobs()
    assert first.state.cancelling
    assert [second.state.status, third.state.status] == [Status.CANCELLED, Status.ENQUEUED]
    assert here.row().skipped == 0


def test_another_duplicate_than_the_last_job_is_in_the_way_of_a_replacement(here):
    unique = {"args": {"to": "x"}, "unique": ("to",)}
    service = here.node(an_entry(Every(HOUR, missed="all", overlap="cancel"), **unique))
    here.after(service, HOUR)

    assert here.after(service, 3 * HOUR) == 1

    assert here.row().skipped == 2


def test_a_job_that_is_refused_counts_as_skipped(here):
    service = here.node(an_entry(args={"to": "x"}, unique=("to",)))
    here.store.write(JobStore.insert, a_new_job({"to": "x"}, unique=("to",), queue="default"))

    assert here.after(service, HOUR) == 0

    assert here.row().skipped == 1
    assert here.row().last_job is None


def test_a_deleted_job_changes_nothing_in_its_entry(here):
    service = here.node(an_entry(Every(HOUR)))
    here.after(service, HOUR)

    here.store.write(JobStore.delete, here.jobs()[0].id)

    assert here.after(service, HOUR) == 1


# ---- clocks ------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_a_little_is_waited_for(here):
    service = here.node(an_entry())
    here.after(service, HOUR)

    assert here.after(service, -60) == 0
    assert here.after(service, 60) == 0
    assert here.after(service, HOUR) == 1


def test_a_clock_that_is_set_back_by_much_begins_anew_and_says_so(here, caplog):
    service = here.node(an_entry())
    here.after(service, 30 * DAY)

    assert here.after(service, -29 * DAY) == 0
    assert f"{NAME!r}" in caplog.text
    assert here.after(service, HOUR) == 1


def test_a_clock_that_is_set_back_to_less_than_a_minute_before_the_last_job_begins_anew(
    here, caplog
):
    service = here.node(an_entry())
    here.after(service, HOUR)

    assert [here.after(service, seconds) for seconds in (45, -90)] == [0, 0]
    assert f"{NAME!r}: the clock was set back" in caplog.text
    assert [here.after(service, seconds) for seconds in (45, HOUR)] == [1, 1]


def test_a_clock_that_is_set_back_to_after_the_last_job_changes_nothing(here, caplog):
    service = here.node(an_entry())
    here.after(service, HOUR)

    assert [here.after(service, seconds) for seconds in (600, -590)] == [0, 0]
    assert "set back" not in caplog.text
    assert here.row().next_at == here.clock.now + (HOUR - 10) * SECOND


def test_a_clock_that_is_set_back_little_by_little_is_not_waited_for_for_long(here, caplog):
    service = here.node(an_entry())
    here.after(service, HOUR)

    assert [here.after(service, -59) for _ in range(2)] == [0, 0]
    assert f"{NAME!r}" in caplog.text
    assert [here.after(service, 59) for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("seconds", [1, HOUR, 366 * DAY])
def test_a_clock_that_is_set_forward_makes_no_storm(here, seconds):
    service = here.node(an_entry())
    here.after(service, HOUR)

    assert here.after(service, seconds) <= 1
    assert here.after(service, HOUR) == 1


# ---- what nodes declare -------------------------------------------------------------------------


def test_a_definition_that_changed_goes_on_from_now(here):
    first = here.node(an_entry())
    here.after(first, HOUR)
    before = here.row()
    here.clock.advance(5 * HOUR - 1)

    second = here.node(an_entry(Every(60, overlap="allow")))
    assert here.row().last_at == before.last_at
    assert here.row().missed == 0
    assert len(here.jobs()) == 1
    assert here.after(second, 1) == 1


def test_a_definition_that_is_the_same_catches_up(here):
    here.node(an_entry())
    here.clock.advance(5 * HOUR)

    here.node(an_entry())

    assert here.instants() == [0]
    assert here.row().missed == 4


def test_the_node_that_starts_last_says_what_the_jobs_are(here):
    here.node(an_entry(worker="shop:Old"))
    service = here.node(an_entry(worker="shop:New"))

    here.after(service, HOUR)

    assert [job.spec.worker for job in here.jobs()] == ["shop:New"]


def test_an_entry_that_no_node_declares_is_dormant_until_one_does(here):
    other = here.node()
    node = QueueNode(here.store, ["default"])
    declaring = CronService.start(
        here.store, node, CronDeclarations([an_entry()]), here.config, here.clock
    )
    call(declaring, Fire())
    exit_(declaring, Killed())
    node.close()

    assert here.after(other, HOUR) == 0
    assert here.row().due_at is None

    here.node(an_entry())
    assert here.instants() == [0]


def test_a_dormant_entry_is_deleted_after_the_retention(here, store, clock, start):
    kept = Here(store, clock, start, retention=HOUR)
    node = QueueNode(store, ["default"])
    declared = CronDeclarations([an_entry()])
    call(start(CronService, store, node, declared, kept.config, clock), Fire())
    node.close()

    assert store.read(crons.find_dormant, "") == (None, [NAME])
    store.write(crons.sweep, [NAME], retention=HOUR * SECOND, now=clock.now)
    clock.advance(HOUR - 1)
    assert store.write(crons.sweep, [NAME], retention=HOUR * SECOND, now=clock.now) == []
    clock.advance(1)

    assert store.write(crons.sweep, [NAME], retention=HOUR * SECOND, now=clock.now) == [NAME]
    assert store.read(crons.page, "") == []


def test_a_node_does_not_start_with_the_name_of_a_runtime_entry(here):
    here.store.write(crons.set_entry, an_entry(), now=here.clock.now)

    with pytest.raises(OtpStartError, match="'hourly'"):
        here.node(an_entry())


def test_a_start_of_the_first_node_is_an_instant(here):
    here.node(an_entry(Cron("@reboot")))
    here.node(an_entry(Cron("@reboot")))

    assert here.instants() == [0]
    assert here.row().next_at is None


def test_a_start_is_one_instant_also_where_the_store_refuses_in_between(here, monkeypatch):
    entries = [an_entry(Cron("@reboot", overlap="allow"), name=f"e{n}") for n in range(150)]
    refresh, refusals = cron_turns.refresh, iter([False, True, False])

    def refuse_the_second(*args, **options):
        if next(refusals):
            raise StorageError("no room")
        return refresh(*args, **options)

    monkeypatch.setattr(cron_turns, "refresh", refuse_the_second)
    declared = CronDeclarations(entries)
    node = QueueNode(here.store, ["default"])
    service = here.start(CronService, here.store, node, declared, here.config, here.clock)

    with suppress(StorageError):  # if its own first turn had not been refused yet
        call(service, Fire())
    call(service, Fire())

    assert len(here.jobs()) == 150
    assert len({job.spec.flow.cron for job in here.jobs()}) == 150


def test_a_service_that_is_killed_loses_no_instant(here):
    node = QueueNode(here.store, ["default"])
    declared = CronDeclarations([an_entry(Every(HOUR, missed="all", overlap="allow"))])
    service = CronService.start(here.store, node, declared, here.config, here.clock)
    call(service, Fire())
    assert here.after(service, HOUR) == 1

    exit_(service, Killed())
    here.clock.advance(3 * HOUR)
    again = here.start(CronService, here.store, node, declared, here.config, here.clock)
    call(again, Fire())

    assert here.instants() == [-3 * HOUR, -2 * HOUR, -HOUR, 0]


def test_a_node_that_was_declared_dead_declares_its_entries_anew(here):
    node = QueueNode(here.store, ["default"])
    declared = CronDeclarations([an_entry(worker="shop:Old")])
    service = here.start(CronService, here.store, node, declared, here.config, here.clock)
    call(service, Fire())
    here.node(an_entry(worker="shop:New"))

    number = node.number()
    here.store.write(JobStore.remove_node, number)
    node.lost(number)

    assert here.after(service, HOUR) == 1
    assert declared.node > number
    # It started before the other one, which says what the jobs are.
    assert [job.spec.worker for job in here.jobs()] == ["shop:New"]


# ---- entries that cannot go on ------------------------------------------------------------------


def change(store, name, **changes):
    def changed(writer):
        row = writer.crons.get(name)
        definition = replace(writer.crons.definition(row), **changes)
        writer.crons.put(name, replace(row, definition=writer.crons.sealed(definition)), row)

    store.write(changed)


def test_an_entry_whose_zone_is_gone_is_paused_alone_and_says_why(here, caplog):
    service = here.node(an_entry(), an_entry(name="other"))
    gone = (
        Cron("0 * * * *", tz="Europe/Berlin").encode().replace(b"Europe/Berlin", b"Europe/Nowher")
    )
    change(here.store, NAME, entry=gone)

    assert here.after(service, HOUR) == 1

    assert "Europe/Nowher" in here.row().error
    assert f"{NAME!r} is paused" in caplog.text
    assert here.row().due_at is None
    assert here.after(service, HOUR) == 1


def test_a_damaged_entry_is_paused_alone(here):
    service = here.node(an_entry(), an_entry(name="other"))

    def damage(writer):
        row = writer.crons.get(NAME)
        writer.crons.put(NAME, replace(row, definition=row.definition[:-1]), row)

    here.store.write(damage)

    assert here.after(service, HOUR) == 1
    assert "damaged" in here.row().error


def test_what_is_stored_as_an_entry_and_is_none_is_paused_alone(here):
    service = here.node(an_entry(), an_entry(name="other"))
    change(here.store, NAME, entry=b"\x00")

    assert here.after(service, HOUR) == 1
    assert "no periodic entry" in here.row().error


def test_a_store_that_refuses_is_tried_again(here, monkeypatch, caplog):
    service = here.node(an_entry())
    call(service, Fire())

    def refuse(*_args, **_options):
        raise StorageError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(cron_turns, "head", refuse)
        with pytest.raises(StorageError, match="no room"):
            here.after(service, HOUR)
        until(lambda: "nothing periodic is enqueued" in caplog.text, "the warning")

    assert call(service, Fire()) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
