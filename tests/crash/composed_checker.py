"""What must be true of batches, workflows and steps, whatever processes were killed.

Like checker.py, this file decides and reads no file, and it says what is wrong in sentences.

1. Each batch and each workflow has ended, and each of their jobs: none waits for nothing.
2. A batch counts what its members say, and each callback is stored once if it is true, else never.
3. What a job asked for (follow-ups, members, an expansion) is there once if it has completed, and
   never if it has not.
4. A workflow is stored whole, and each of its jobs ends as the rules say.
5. A step that was completed never runs again, and a checkpoint that was stored is not forgotten,
   but after a fresh retry, which knows nothing of both.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from journal import Row

ENDED = {"completed", "failed", "cancelled"}
IN_STEPS = {"Stepped", "Fresh", "InProcess", "Awaits"}
ASK_FOR_NOTHING = {"Told", "Follows", "Fresh", "InProcess", "Awaits"}


class Fact(NamedTuple):
    """A job as it is at last, and what it was to do."""

    id: int
    worker: str
    status: str
    name: str
    """Of its composition."""
    kind: str = "plain"
    number: int = 0
    fate: str = "completes"
    inner: str = "completes"
    """The fate of those that it adds, or expands into."""
    adds: int = 0
    """How many members it adds to its batch."""
    expands: int = 0
    """Into how many jobs."""
    of: int = 0
    """The job that asked for it."""
    after: Mapping[int, str] = {}
    """The numbers of the nodes that it waits for, and the conditions."""
    size: int = 0
    """How many nodes its workflow has; 0: it is no node."""
    event: str | None = None
    """Of a callback."""
    is_unneeded: bool = False


class Whole(NamedTuple):
    """A batch or a workflow as it is at last."""

    id: int
    what: str
    name: str
    is_open: bool = False
    total: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    inner: int = 0
    """How many batches are members of this one."""


def check(rows: Sequence[Row], facts: Sequence[Fact], wholes: Iterable[Whole]) -> Iterator[str]:
    """Yield what is wrong, one sentence each. Groups that ended may have been pruned."""
    of_name: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        of_name[fact.name].append(fact)
        if fact.status not in ENDED:
            yield f"job {fact.id}: it is {fact.status} for ever"
        elif fact.worker in IN_STEPS and fact.status != "completed":
            yield f"job {fact.id}: it is {fact.status}, though each of its steps comes to its end"
    made = {row.detail for row in rows if row.what == "made"}
    names = set()
    for whole in wholes:
        names.add(whole.name)
        if whole.is_open:
            yield f"{whole.what} {whole.id}: it has not ended"
        if whole.what == "batch":
            yield from _batch(whole, of_name[whole.name], rows)
        else:
            yield from _workflow(whole, of_name[whole.name], is_made=whole.name in made)
    yield from _journal(rows, names, of_name)
    yield from _asked_for(rows, facts)
    yield from _steps(rows)


def _journal(
    rows: Iterable[Row], names: set[str], of_name: Mapping[str, Sequence[Fact]]
) -> Iterator[str]:
    """Look at what was acknowledged, and at what jobs have found wrong themselves."""
    ran = {row.detail for row in rows if row.what in ("begin", "ran")}
    for row in rows:
        if row.what == "wrong":
            yield f"job {row.job}: {row.detail}"
        if row.what == "made" and row.detail not in names | ran:
            yield f"{row.detail}: lost, it was acknowledged and is not stored"
        if row.what == "added" and row.detail is not None:
            name, _, number = row.detail.partition(" ")
            if name not in names or name.startswith("disturbed/"):  # pruned, or perhaps deleted
                continue
            if all(fact.number != int(number) for fact in of_name.get(name, ())):
                yield f"{name}: node {number} is lost, which was added to it"


def _batch(batch: Whole, facts: Sequence[Fact], rows: Iterable[Row]) -> Iterator[str]:
    where = f"batch {batch.id}"
    members = [fact for fact in facts if fact.worker in ("Part", "Added")]
    ended = Counter(fact.status for fact in members)
    wanted = {row.detail for row in rows if row.what == "deleting"}
    most = sum(each is not None and each.split()[0] == batch.name for each in wanted)
    deleted = batch.total - batch.inner - len(members)
    if not 0 <= deleted <= most:
        yield (
            f"{where}: it counts {batch.total} members, and has {len(members)} and {batch.inner}"
            f" batches; {most} may have been deleted"
        )
    for status in ("completed", "failed", "cancelled"):
        counted = getattr(batch, status)
        if not ended[status] <= counted <= ended[status] + batch.inner + most:
            yield f"{where}: it counts {counted} {status}, and {ended[status]} members are"
    if not batch.is_open and batch.total != batch.completed + batch.failed + batch.cancelled:
        yield f"{where}: it has ended, but not all of its {batch.total} members"
    told = Counter(fact.event for fact in facts if fact.worker == "Told")
    is_success = batch.completed == batch.total
    least = {"on_complete": 1, "on_success": int(is_success), "on_failure": int(not is_success)}
    may_fail = (
        not is_success
        or bool(batch.inner)
        or any(fact.fate == "mends" or fact.kind == "disturbed" for fact in facts)
    )
    most_told = {**least, "on_failure": int(may_fail)}
    for event, fewest in least.items():
        if not fewest <= told[event] <= most_told[event]:
            yield f"{where}: {event} is stored {told[event]} times"


def _workflow(run: Whole, facts: Sequence[Fact], *, is_made: bool) -> Iterator[str]:
    where = f"workflow {run.id}"
    nodes = {fact.number: fact for fact in facts if fact.size}
    kind = next((fact.kind for fact in facts), "plain")
    told = sum(fact.worker == "Told" for fact in facts)
    jobs = [fact for fact in facts if fact.worker != "Told"]
    failed = any(fact.status == "failed" for fact in jobs)
    mended = kind == "mends" and any(fact.fate == "mends" for fact in jobs)
    may_fail = failed or mended or any(fact.status != "completed" for fact in jobs)
    is_uncertain = kind == "disturbed" or (kind == "streamed" and not is_made)
    if not failed <= told <= (may_fail or is_uncertain):
        yield f"{where}: on_failure is stored {told} times"
    if is_uncertain:
        return
    size = next((fact.size for fact in nodes.values()), 0)
    if sorted(nodes) != list(range(size)):
        yield f"{where}: of its {size} nodes only these are stored: {sorted(nodes)}"
        return
    nodes.update((fact.number, fact) for fact in facts if fact.worker == "Outside")
    ends = dict.fromkeys(nodes, "completed") if kind == "mends" else ends_of(nodes)
    for number, fact in nodes.items():
        if fact.status != ends[number]:
            yield f"job {fact.id} of {where}: it is {fact.status}, not {ends[number]}"


def ends_of(nodes: Mapping[int, Fact]) -> dict[int, str]:
    """Return how each node of a workflow ends, by the rules and by nothing else."""
    ends: dict[int, str] = {}
    good: dict[int, bool] = {}
    for number, fact in sorted(nodes.items()):
        failures = [good[up] for up, on in fact.after.items() if on == "failure"]
        is_cut = any(on == "success" and not good[up] for up, on in fact.after.items())
        if is_cut or (failures and all(failures)):
            ends[number] = "cancelled"
        else:
            ends[number] = "failed" if fact.fate == "fails" else "completed"
        # A node has ended when all that it has expanded into has, and as that did.
        good[number] = ends[number] == "completed" and not (fact.expands and fact.inner == "fails")
    return ends


def _asked_for(rows: Iterable[Row], facts: Sequence[Fact]) -> Iterator[str]:
    """Look at what jobs wanted to be stored with their completion."""
    asked = _asked(rows, facts)
    known = {fact.id for fact in facts}
    for (of, what), ids in asked.items():
        if what == "Follows" and of not in known and len(ids) > 1:
            yield f"job {of}: it has {len(ids)} follow-ups: {sorted(ids)}"
    for fact in facts:
        if fact.worker in ASK_FOR_NOTHING:
            continue
        for what, many in (("Follows", 1), ("Added", fact.adds), ("Expanded", fact.expands)):
            most = many if fact.status == "completed" else 0
            ids = asked[fact.id, what]
            if not (fact.kind in ("plain", "mends")) * most <= len(ids) <= most:
                yield (
                    f"job {fact.id}: it is {fact.status}, and asked for {most} of {what}, which are"
                    f" {sorted(ids)}"
                )


def _asked(rows: Iterable[Row], facts: Iterable[Fact]) -> defaultdict[tuple[int, str], set[int]]:
    """Return what each job asked for, by worker: those that are stored, or have been performed."""
    asked: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
    for fact in facts:
        if fact.of:
            asked[fact.of, fact.worker].add(fact.id)
    for row in rows:
        if row.what == "follows" and row.detail is not None:
            asked[int(row.detail), "Follows"].add(row.job)
    return asked


def _steps(rows: Iterable[Row]) -> Iterator[str]:
    """Look at what jobs in steps wrote down, in its order, from one fresh retry to the next."""
    of_job: defaultdict[int, list[list[Row]]] = defaultdict(lambda: [[]])
    for row in rows:
        if row.what == "refreshing":
            of_job[row.job].append([])
        elif row.detail is not None:
            of_job[row.job][-1].append(row)
    for parts in of_job.values():
        for number, part in enumerate(parts):
            yield from _steps_of(part)
            if number:
                yield from _since_fresh_retry(part)


def _steps_of(rows: Iterable[Row]) -> Iterator[str]:
    taken: dict[str, str] = {}
    passed = 0
    for row in rows:
        number, _, token = (row.detail or "").partition(" ")
        if row.what == "step" and number in taken:
            yield f"job {row.job}: its step {number} runs again in {row.process}"
        elif row.what == "took" and taken.setdefault(number, token) != token:
            yield f"job {row.job}: its step {number} is {token}, and was {taken[number]}"
        elif row.what == "passed":
            passed = int(number)
        elif row.what == "resumes" and int(number) < passed:
            yield (
                f"job {row.job}: it resumes at {number} in {row.process}, though it has passed"
                f" {passed}"
            )


def _since_fresh_retry(rows: Iterable[Row]) -> Iterator[str]:
    """Look whether a job knows anything from before."""
    known: set[str] = set()
    passed = 0
    for row in rows:
        number, _, token = (row.detail or "").partition(" ")
        if row.what == "step":
            known.add(token)
        elif row.what == "passed":
            passed = int(number)
        elif row.what == "took" and token not in known:
            yield f"job {row.job}: its step {number} is still {token}, after a fresh retry"
        elif row.what == "resumes" and int(number) > passed + 1:
            yield f"job {row.job}: it resumes at {number} in {row.process}, after a fresh retry"
