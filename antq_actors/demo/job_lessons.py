"""Lessons about jobs: how long a failed one waits, which is next, what a killed process costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from antq_actors import JobNotFound, Status
from antq_actors.demo import shop as shops
from antq_actors.demo.lessons import OTHER, Lesson, Outcome
from antq_actors.demo.shop import CHARGE_DELAY, ChargeCard, NotInTime, PackParcel, until
from antq_actors.insights import Insights, predict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors import AntQ, Job
    from antq_actors.demo.shop import Shop
    from antq_actors.insights.trees import TreeView
    from antq_actors.insights.verbs import Verbs

ABOUT: Final = 1.0
"""Seconds by which two waits differ that are the same."""
HOUR: Final = 3_600


def job_lessons(shop: Shop) -> Sequence[Lesson]:
    """Return the lessons about the jobs of a shop."""
    return _back_off(shop), _stepping(shop), _node(shop)


# ---- back-off -----------------------------------------------------------------------------------


def _back_off(shop: Shop) -> Lesson:
    return Lesson(
        name="back-off",
        step="fail",
        title="A job fails again and again",
        story="The payment gateway is down. A charge has four attempts, and retry_delay="
        "Backoff(first=3600, factor=2). The button makes the wait end now, so that the next attempt"
        " runs; it fails, too.",
        question="The next attempt fails. What then?",
        choices={
            "same": "it waits as long as before",
            "double": "it waits twice as long as before",
            "ends": "it has failed for good",
        },
        button="Let it try again",
        explanation="Whatever is down needs time, and does not get better by being asked more"
        " often: each wait is longer than the one before. After the last attempt the job is failed,"
        " and stays there until someone retries it.",
        docs="workers.md",
        place="/jobs",
        now=lambda: _charge_now(shop.app),
        act=lambda verbs: _let_it_fail(shop.app, verbs),
    )


def _charge(app: AntQ) -> Job:
    """Return the charge that waits for its next attempt; one that has failed once, at first."""
    found = _waiting_charge(app)
    if found is None:
        job = app.enqueue(ChargeCard, {"order": 1})
        _await(lambda: app.get_job(job.id).status is Status.RETRYING, "the charge has not failed")
        found = app.get_job(job.id)
    return found


def lay_out_jobs(app: AntQ) -> None:
    """Have the jobs of the lessons wait: a charge that has failed once, and parcels."""
    _charge(app)
    _lay_out_parcels(app)


def _waiting_charge(app: AntQ) -> Job | None:
    return next(iter(app.list_jobs(worker=ChargeCard, status=Status.RETRYING, limit=1)), None)


def _charge_now(app: AntQ) -> str:
    job = _waiting_charge(app)
    if job is None:
        return "No charge waits; the button begins with a new one, whose first attempt has failed."
    wait = CHARGE_DELAY.delay(job.attempts) / HOUR
    return (
        f"Job {job.id} has failed {job.attempts} of {job.max_attempts} attempts, and waits"
        f" {wait:g} h."
    )


def _let_it_fail(app: AntQ, verbs: Verbs) -> Outcome:
    before = _charge(app)
    tries = before.attempts + 1
    foreseen = None if tries >= before.max_attempts else CHARGE_DELAY.delay(tries)
    verbs.run_now(before.id)
    _await(
        lambda: (
            (now := app.get_job(before.id)).attempts == tries
            and now.status in (Status.RETRYING, Status.FAILED)
        ),
        "the charge has not been tried",
    )
    now = app.get_job(before.id)
    came = None
    if now.status is Status.RETRYING and now.scheduled_at is not None:
        came = (now.scheduled_at - now.updated_at).total_seconds()
    was = CHARGE_DELAY.delay(before.attempts)
    return Outcome(
        predicted=_wait_choice(was, foreseen),
        actual=_wait_choice(was, came),
        predicted_text=_wait_text(foreseen, tries),
        actual_text=_wait_text(came, tries),
    )


def _wait_choice(before: float, wait: float | None) -> str:
    if wait is None:
        return "ends"
    for name, factor in (("same", 1), ("double", 2)):
        if abs(wait - before * factor) < ABOUT:
            return name
    return OTHER


def _wait_text(wait: float | None, attempt: int) -> str:
    if wait is None:
        return f"Attempt {attempt} is the last, and the job has failed."
    return f"After attempt {attempt} it waits {round(wait) / HOUR:g} h."


# ---- stepping -----------------------------------------------------------------------------------


def _stepping(shop: Shop) -> Lesson:
    return Lesson(
        name="stepping",
        step="step",
        title="A paused queue is stepped",
        story="The queue parcels is paused. Two plain parcels were enqueued first, then an express"
        " one with priority 10. A step lets one job through, and the queue stays paused.",
        question="Which is packed next?",
        choices={
            "oldest": "the plain parcel that waits longest",
            "express": "the express parcel",
            "all": "all of them",
        },
        button="Step 1",
        explanation="Of the jobs that are due the one with the largest priority is next, among"
        " equals the one that was enqueued first. The page of a queue shows this order before"
        " anything runs.",
        docs="stepping.md",
        place="/queue?name=parcels",
        now=lambda: _parcels_now(shop.app),
        act=lambda verbs: _step(shop.app, verbs),
    )


def _lay_out_parcels(app: AntQ) -> None:
    """Have the queue of the parcels paused, with parcels that wait."""
    queue = app.queue(shops.PARCELS)
    if not queue.status().paused:
        queue.pause(by="Learn", reason="it is stepped, job by job")
    if not queue.preview(1):
        for kind, priority in (("plain", 0), ("plain", 0), ("express", 10)):
            app.enqueue(PackParcel, {"kind": kind}, priority=priority)


def _parcels_now(app: AntQ) -> str:
    waiting = app.list_jobs(worker=PackParcel, status=Status.ENQUEUED, limit=10)
    if not waiting:
        return "No parcel waits; the button begins with three new ones."
    each = (f"{job.args.get('kind')} (job {job.id})" for job in waiting)
    return f"Waiting, in the order in which they came: {', '.join(each)}."


def _step(app: AntQ, verbs: Verbs) -> Outcome:
    _lay_out_parcels(app)
    waiting = app.list_jobs(worker=PackParcel, status=Status.ENQUEUED, limit=10)
    foreseen = [each.id for each in app.queue(shops.PARCELS).preview(1)]
    verbs.step(shops.PARCELS, n=1)

    def packed() -> list[int]:
        now = (app.get_job(job.id) for job in waiting)
        return [job.id for job in now if job.status is Status.COMPLETED]

    _await(lambda: bool(packed()), "no parcel was packed")
    came = packed()
    return Outcome(
        predicted=_parcel_choice(waiting, foreseen),
        actual=_parcel_choice(waiting, came),
        predicted_text=_parcel_text(waiting, foreseen),
        actual_text=_parcel_text(waiting, came),
    )


def _parcel_choice(waiting: Sequence[Job], ids: Sequence[int]) -> str:
    """Return which choice it is that jobs with these *ids* are next; *waiting* is by age."""
    if len(ids) > 1:
        return "all"
    found = next((job for job in waiting if job.id in ids), None)
    if found is None:
        return OTHER
    if found.args.get("kind") == "express":
        return "express"
    oldest = next(job for job in waiting if job.args.get("kind") == "plain")
    return "oldest" if found.id == oldest.id else OTHER


def _parcel_text(waiting: Sequence[Job], ids: Sequence[int]) -> str:
    each = (f"{job.args.get('kind')} (job {job.id})" for job in waiting if job.id in ids)
    return f"Packed: {', '.join(each)}."


# ---- a process that is killed -------------------------------------------------------------------


def _node(shop: Shop) -> Lesson:
    return Lesson(
        name="node",
        step="kill",
        title="The process that performs jobs is killed",
        story="A second process runs the queue ovens. The button enqueues two cakes, waits until"
        " they are in the oven, and sends that process SIGKILL, which nothing can handle. Then it"
        " starts the process anew. That takes a few seconds.",
        question="What becomes of the two cakes?",
        choices={
            "lost": "they are lost",
            "failed": "their attempts fail, and count",
            "again": "they are given back and run again; the attempt does not count",
        },
        button="Kill the process",
        explanation="A job is in the store before anyone performs it, and stays there until its"
        " end is. The other processes notice that the one that ran it is gone, and give it back. It"
        " was not the job's fault, so none of its attempts is used up; but what it had done by then"
        " is done twice.",
        docs="job_lifecycle.md",
        place="/nodes",
        now=lambda: _nodes_now(shop.app),
        act=lambda _verbs: _kill(shop),
    )


def _nodes_now(app: AntQ) -> str:
    nodes = [each for each in app.nodes() if each.alive]
    each = (f"node {node.number} (pid {node.pid}) runs {', '.join(node.queues)}" for node in nodes)
    return f"Now: {'; '.join(each)}."


def _kill(shop: Shop) -> Outcome:
    app = shop.app
    pid = shop.open_ovens()
    node = next(each.number for each in app.nodes() if each.alive and each.pid == pid)
    ids = shop.bake(shops.OVEN_SLOTS)
    tree = _tree_that_bakes(app, node, ids)
    hit = predict(tree, tree.trees[0].id, "kill").jobs
    foreseen = {
        **dict.fromkeys(hit.interrupted, "again"),
        **dict.fromkeys(hit.retried, "failed"),
        **dict.fromkeys(hit.lost, "lost"),
    }
    shop.kill_ovens()
    shop.open_ovens()
    app.wait(ids, timeout=shops.LONGEST_WAIT)
    return Outcome(
        predicted=_common([foreseen.get(id_, OTHER) for id_ in ids]),
        actual=_common([_cake_choice(app, id_) for id_ in ids]),
        predicted_text="Given back: " + ", ".join(f"job {id_}" for id_ in hit.interrupted) + ".",
        actual_text=" ".join(_cake_text(app, id_) for id_ in ids),
    )


def _tree_that_bakes(app: AntQ, node: int, ids: Sequence[int]) -> TreeView:
    """Return the tree of a node once its worker actors perform the jobs *ids*.

    A job is stored as running before its worker actor starts. Raises NotInTime.
    """
    insights = Insights(app)

    def shows_them() -> bool:
        tree = insights.tree(node)
        return tree.missing is not None or set(ids) <= set(tree.jobs.values())

    _await(shows_them, "the cakes have no worker actors")
    tree = insights.tree(node)
    if tree.missing is not None:
        raise NotInTime(tree.missing)
    return tree


def _common(choices: Sequence[str]) -> str:
    return choices[0] if len(set(choices)) == 1 else OTHER


def _cake_choice(app: AntQ, id_: int) -> str:
    try:
        job = app.get_job(id_)
    except JobNotFound:
        return "lost"
    if job.status is Status.COMPLETED and job.interruptions:
        return "again"
    return "failed" if job.status in (Status.RETRYING, Status.FAILED) else OTHER


def _cake_text(app: AntQ, id_: int) -> str:
    job = app.get_job(id_)
    return f"Job {id_}: {job.status}, interrupted {job.interruptions} time, attempt {job.attempts}."


def _await(condition: Callable[[], bool], what: str) -> None:
    """Wait for what a job does. Raises NotInTime, which says *what* has not come."""
    if not until(condition):
        raise NotInTime(f"{what} within {shops.LONGEST_WAIT:g} s")
