"""Kill processes of a store again and again, and look whether anything was lost or done twice.

    make soak CYCLES=1000 SEED=7

Two nodes perform what four producers enqueue, on one path. Each cycle kills one of the six with
SIGKILL, at a random moment or at a random failpoint, and starts it anew. Now and then one node has
to do without the other. One producer gets Ctrl-C again and again, and goes on; some jobs enqueue
others until they time out. A fourth one makes batches, workflows and jobs in steps, and retries,
deletes and cancels some of them. Some jobs have limits, which a reader watches at each commit it
sees, and periodic entries fire each second. After every few cycles the producers stop, all jobs
have to end, and the checkers decide. When it finds something, the program says what, keeps the
directory and exits with 1; the same seed makes the same choices again, though not the same moments.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import checker
import composed_checker
import flow_checker
import flow_jobs
import journal
from failpoints import FAILPOINTS
from processes import (
    NotInTimeError,
    ProcessUnderTest,
    composing,
    in_bulk,
    look,
    node,
    pause_all,
    singly,
    through_ctrl_c,
    watch,
)

BATCH = 20
"""Cycles between two checks."""
RETENTION = 30.0
"""Seconds: longer than a batch, so that the checker sees its jobs; then they are pruned."""
REACHED_WITHIN = 1.0
"""Seconds that a process has to come to a failpoint; then it is killed where it is."""

LEFT_TO_ANOTHER = 1.5
"""Seconds that some nodes are not started anew, so that their jobs are rescued by the other."""

KINDS = ("random", "failpoint", "failpoint not reached")
"""Of kills."""

NODES = {"north": node, "south": node}
PRODUCERS = {"single": singly, "bulk": in_bulk, "ctrl-c": through_ctrl_c, "composer": composing}

AT_WORK = ("claim:", "serve:", "perform:", "outcome:", "retry:", "snooze:", "limit:", "cron:")
AT_START = ("open:", "node:", "prune:", "entry:")
OF_SINGLE = ("insert:", "limit:waits", "limit:before-commit", "limit:after-commit")
OF_BULK = ("insert-many:", "insert:half-written", "insert:before-c", "insert:after-commit")
OF_PRODUCERS = {"single": OF_SINGLE, "bulk": OF_BULK, "ctrl-c": (*OF_SINGLE, *OF_BULK)}
OF_PRODUCERS["composer"] = (*OF_SINGLE, *OF_BULK)
AT_PRODUCERS_STOP = ("stop:before-environment", "stop:environment")


class Soak:
    """The processes, what was done to them, and what came of it."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.findings: list[str] = []
        self.kills: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter()
        self.waits: defaultdict[str | tuple[str, str], list[float]] = defaultdict(list)
        self._directory = directory
        self._chance = random.Random(seed)
        self._generations: Counter[str] = Counter()
        self._processes: dict[str, ProcessUnderTest] = {}
        self._deaths: dict[str, float] = {}
        self._of_processes: list[journal.Row] = []
        self._watcher: ProcessUnderTest | None = None
        self._planned: defaultdict[str, defaultdict[float, set[int]]] = defaultdict(
            lambda: defaultdict(set)
        )

    def run(self, cycles: int) -> None:
        """Go through so many cycles, or until something is found."""
        try:
            while cycles > 0 and not self.findings:
                self._batch(min(BATCH, cycles))
                cycles -= BATCH
            self._end()
        except NotInTimeError as error:
            self.findings.append(str(error))
        finally:
            for process in self._processes.values():
                process.kill()
            if self._watcher is not None:
                self._watcher.kill()

    def _batch(self, cycles: int) -> None:
        self._watcher = self._observer(watch)
        self._watcher.hear()
        is_alone = self._chance.random() < 0.3
        for role in ("north", *PRODUCERS) if is_alone else (*NODES, *PRODUCERS):
            self._is_there(role)
        if is_alone and "south" in self._processes:
            self._kill("south", "random")
            self._processes.pop("south").forget()
        for _ in range(cycles):
            self._cycle()
        self._drain()
        self._check()

    def _cycle(self) -> None:
        for role in list(self._processes):
            self._is_there(role)
        role = self._chance.choice(list(self._processes))
        if self._chance.random() < 0.5:
            time.sleep(self._chance.uniform(0, 0.5))
            self._kill(role, "random")
            if role in NODES and self._chance.random() < 0.3:
                time.sleep(LEFT_TO_ANOTHER)
        else:
            self._kill_at_failpoint(role, self._chance.choice(_failpoints(role)))
        self._is_there(role)

    def _kill_at_failpoint(self, role: str, point: str) -> None:
        process = self._processes[role]
        nth = 1
        if point.startswith(AT_START):
            self._kill(role, "random")
            process = self._start(role, armed=(point, nth))
        elif point.startswith("rescue:"):
            process = self._at_a_rescue(role, point)
        elif point.startswith("stop:"):
            process.tell("arm", point, nth)
            process.tell("stop")
            self._until_it_ends(role, point)
            return
        else:
            nth = self._chance.randint(1, 2 if point.startswith("cron:") else 5)
            process.tell("arm", point, nth)
        if process.ends_within(REACHED_WITHIN):
            self._ended(role, point)
        else:
            self._kill(role, "failpoint not reached")

    def _at_a_rescue(self, role: str, point: str) -> ProcessUnderTest:
        """Let a node have another to rescue, or itself: it comes again under another number."""
        others = [other for other in NODES if other != role and other in self._processes]
        if not others:
            self._kill(role, "random")
            return self._start(role, armed=(point, 1))
        self._processes[role].tell("arm", point, 1)
        self._kill(others[0], "random")
        return self._processes[role]

    def _until_it_ends(self, role: str, point: str) -> None:
        if self._processes[role].ended() == 0:
            self.counts["stops"] += 1  # with nothing to give back it did not come by
        else:
            self._ended(role, point)

    # ---- processes ------------------------------------------------------------------------

    def _is_there(self, role: str) -> None:
        process = self._processes.get(role)
        if process is not None and process.exitcode is None:
            return
        if process is not None and process.exitcode != 0 and process.died is None:
            self._ended(role, "late")
        self._start(role)

    def _start(self, role: str, **options) -> ProcessUnderTest:
        old = self._processes.pop(role, None)
        if old is not None:
            old.forget()
        self._generations[role] += 1
        name = f"{role}-{self._generations[role]}"
        if role in NODES:
            options["retention"] = RETENTION
            options["crons"] = flow_jobs.declared(by_north=role == "north")
        else:
            options["seed"] = self._chance.random()
            if role == "single":
                options["by_hand"] = True
        function = {**NODES, **PRODUCERS}[role]
        self._processes[role] = ProcessUnderTest(name, function, self._directory, **options)
        return self._processes[role]

    def _kill(self, role: str, kind: str) -> None:
        process = self._processes[role]
        process.kill()
        self._deaths[process.name] = process.died
        self._ended(role, kind)

    def _ended(self, role: str, kind: str) -> None:
        process = self._processes[role]
        process.died = process.died or time.monotonic()
        if process.was_killed:
            self.kills[role, kind if kind in KINDS else "failpoint"] += 1
        else:
            code, errors = process.exitcode, process.errors()
            self.findings.append(f"{process.name} ended by itself with {code}: {errors}")

    # ---- what came of it ------------------------------------------------------------------

    def _drain(self) -> None:
        """Let the producers stop and all jobs end."""
        for role in PRODUCERS:
            self._is_there(role)
            self._processes[role].tell("stop")
        for role in PRODUCERS:
            self._until_it_ends(role, "late")
        for role in NODES:
            self._is_there(role)

    def _check(self) -> None:
        entries, unready = self._said(self._observer(pause_all))
        problems, jobs, facts, wholes = self._said(self._observer(look, nodes=len(NODES)))
        self.findings += unready + problems + self._watched()
        rows = journal.rows(self._directory)
        acknowledged = journal.acknowledged(self._directory)
        # What nodes say of themselves stands in the journal of the batch in which they began.
        of_processes = [row for row in rows if row.job == 0]
        self._of_processes += [row for row in of_processes if row.what != "cut short"]
        self.counts["enqueues cut short"] += sum(row.what == "cut short" for row in of_processes)
        known = self._of_processes + [row for row in rows if row.job != 0]
        since = min((row.job for row in rows if row.job != 0), default=0)
        jobs = [job for job in jobs if job.id >= since]
        calls = journal.calls(self._directory)
        self.findings += checker.check(
            known, acknowledged, self._deaths, jobs, calls=calls, pruned=True
        )
        found = checker.executions(known, self._deaths)
        self.findings += flow_checker.over_limits(rows, found)
        self._check_composed(rows, since, facts, wholes)
        self.counts["of keys"] += sum(row.what == "begin" and row.key is not None for row in rows)
        self._check_entries(entries, rows, jobs)
        self.counts["acknowledged"] += len(acknowledged)
        self.counts["lost"] += sum(": lost" in each for each in self.findings)
        self.counts["at once"] += sum(" at once" in each for each in self.findings)
        self.counts["checked in full"] += len(jobs)
        self.counts["unacknowledged"] += len({job.id for job in jobs} - {*acknowledged})
        self.counts["executions"] += len(found)
        self.counts["cut short"] += sum(each.how == "death" for each in found)
        self.counts["timed out"] += sum(each.how == "timeout" for each in found)
        self.counts["repeated"] += checker.repeated(found)
        recoveries = checker.recoveries(known, self._deaths, jobs)
        self.findings += checker.late(recoveries)
        for each in recoveries:
            self.waits[each.by].append(each.seconds)
            if each.to_rescue is not None:
                self.waits["rescue", each.by].append(each.to_rescue)
        if not self.findings:
            journal.begin_anew(self._directory)

    def _check_composed(
        self,
        rows: list[journal.Row],
        since: int,
        facts: list[composed_checker.Fact],
        wholes: list[composed_checker.Whole],
    ) -> None:
        facts = [fact for fact in facts if fact.id >= since]
        wholes = [whole for whole in wholes if whole.id >= since]
        self.findings += composed_checker.check(rows, facts, wholes)
        self.counts["batches"] += sum(whole.what == "batch" for whole in wholes)
        self.counts["workflows"] += sum(whole.what == "workflow" for whole in wholes)
        self.counts["callbacks"] += sum(fact.event is not None for fact in facts)
        made = {row.detail for row in rows if row.what == "made"}
        self.counts["half stored"] += sum(
            whole.name.startswith("streamed/") and whole.name not in made for whole in wholes
        )
        self.counts["added"] += sum(row.what == "added" for row in rows)
        self.counts["steps"] += sum(row.what == "step" for row in rows)
        self.counts["refreshed"] += sum(row.what == "refreshing" for row in rows)

    def _check_entries(
        self,
        entries: list[flow_checker.Entry],
        rows: list[journal.Row],
        jobs: list[checker.Final],
    ) -> None:
        """Look whether each instant so far has one job; most of them are deleted by now."""
        for name, instants in flow_checker.planned(rows, jobs).items():
            for instant, ids in instants.items():
                self._planned[name][instant] |= ids
        ahead = time.time() - time.monotonic()
        for each in entries:
            self.findings += flow_checker.check_entry(
                each, self._planned[each.name], self._of_processes, self._deaths, ahead
            )
        self.counts["instants"] = sum(map(len, self._planned.values()))
        self.counts["missed"] = sum(each.missed for each in entries)
        self.counts["skipped"] = sum(each.skipped for each in entries)

    def _observer(self, role, **options) -> ProcessUnderTest:
        """Start a process that is not killed."""
        self._generations[role.__name__] += 1
        name = f"{role.__name__}-{self._generations[role.__name__]}"
        return ProcessUnderTest(name, role, self._directory, **options)

    def _said(self, observer: ProcessUnderTest):
        """Return what it says at its end."""
        said = observer.hear(timeout=200)
        observer.ended()
        observer.forget()
        return said

    def _watched(self) -> list[str]:
        """Let nobody watch any more; return what was wrong."""
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return []
        watcher.tell("stop")
        seen, problems = self._said(watcher)
        self.counts["commits seen"] += seen
        return problems

    def _end(self) -> None:
        if self.findings:
            return
        for role in NODES:
            self._processes[role].tell("stop")
        for role in NODES:
            self._until_it_ends(role, "late")


def _failpoints(role: str) -> list[str]:
    if role in NODES:
        wanted = (*AT_WORK, *AT_START, "rescue:", "stop:")
    else:
        wanted = (*OF_PRODUCERS[role], *AT_PRODUCERS_STOP)
    return [point for point in FAILPOINTS if point.startswith(wanted)]


def table(soak: Soak, seed: int, seconds: float, store: Path) -> str:
    """Return what was done and seen, line by line."""
    roles = (*NODES, *PRODUCERS)
    size = (store / "data.mdb").stat().st_size
    locks = len(list(store.glob("nodes/*")))
    kills = {kind: [soak.kills[role, kind] for role in roles] for kind in KINDS}
    counts = soak.counts
    lines = [
        ("seed", f"{seed}"),
        ("time", f"{seconds:.0f} s"),
        ("kills", f"{soak.kills.total()}"),
        *(
            (
                f"  {kind}",
                f"{sum(each)}: "
                + ", ".join(f"{role} {n}" for role, n in zip(roles, each, strict=True)),
            )
            for kind, each in kills.items()
        ),
        ("stops that nothing cut short", f"{counts['stops']}"),
        ("jobs acknowledged", f"{counts['acknowledged']}"),
        ("  lost", f"{counts['lost']}"),
        ("  run twice at once", f"{counts['at once']}"),
        ("jobs checked in full", f"{counts['checked in full']}"),
        ("  stored, not acknowledged", f"{counts['unacknowledged']}"),
        ("cut short by Ctrl-C", f"{counts['enqueues cut short']}"),
        ("executions", f"{counts['executions']}"),
        ("  cut short by a kill", f"{counts['cut short']}"),
        ("  timed out while enqueueing", f"{counts['timed out']}"),
        ("  repeated, though done", f"{counts['repeated']}"),
        ("  of keys with limits", f"{counts['of keys']}"),
        ("  commits at which one looked", f"{counts['commits seen']}"),
        ("batches checked in full", f"{counts['batches']}"),
        ("workflows checked in full", f"{counts['workflows']}"),
        ("  of them stored in part", f"{counts['half stored']}"),
        ("  callbacks of both", f"{counts['callbacks']}"),
        ("  nodes added from outside", f"{counts['added']}"),
        ("steps that were run", f"{counts['steps']}"),
        ("  jobs that forgot them", f"{counts['refreshed']}"),
        ("instants of periodic entries", f"{counts['instants']}"),
        ("  missed while nobody lived", f"{counts['missed']}"),
        ("  skipped: not at once", f"{counts['skipped']}"),
        ("from a kill to the next run", "median, longest, of how many"),
        ("  by another node alone", _waits(soak.waits["another"])),
        ("    of that, to its rescue", _waits(soak.waits["rescue", "another"])),
        ("  by the restart alone", _waits(soak.waits["restart"])),
        ("    of that, to its rescue", _waits(soak.waits["rescue", "restart"])),
        ("  by either", _waits(soak.waits["either"])),
        ("    of that, to its rescue", _waits(soak.waits["rescue", "either"])),
        ("size of the store", f"{size / 2**20:.1f} MiB"),
        ("lock files left behind", f"{locks}"),
    ]
    return "\n".join(f"{name:30}{value}" for name, value in lines)


def _waits(seconds: list[float]) -> str:
    median, longest = checker.median_and_longest(seconds)
    return f"{median:.2f} s, {longest:.2f} s, {len(seconds)}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    directory = Path(tempfile.mkdtemp(prefix="antq-soak-"))
    soak = Soak(directory, seed)
    print(f"seed {seed}, in {directory}", flush=True)
    began = time.monotonic()
    soak.run(options.cycles)
    print(table(soak, seed, time.monotonic() - began, directory / "store"))
    if not soak.findings:
        shutil.rmtree(directory)
        return 0
    print(f"\n{len(soak.findings)} findings; --seed {seed}; all is kept in {directory}")
    for finding in soak.findings[:20]:
        print(f"- {finding}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
