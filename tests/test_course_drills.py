"""The drills of the course: a program that is changed as a drill says does what the answer says."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent.parent / "examples" / "otp"

DRILLS = {
    "01, the exception is caught": (
        "01_a_counter_that_crashes",
        [
            (
                "        self.number += step\n        return self.number\n",
                (
                    "        try:\n            self.number += step\n        except TypeError:\n"
                    "            pass\n        return self.number\n"
                ),
            )
        ],
        [
            (
                "TimeoutError: waited 5.0 s for a restart of 'counter', in vain: "
                "the actor with this name has not ended"
            )
        ],
        ["no reply"],
    ),
    "01, the log": (
        "01_a_counter_that_crashes",
        [("logging.disable()", "")],
        ["restarts child 'counter'", "Traceback (most recent call last)"],
        [],
    ),
    "02, an orderly shutdown": (
        "02_permanent_transient_temporary",
        [
            ("stop(name)", "stop(name, Shutdown('lunch'))"),
            ("    Restart,", "    Restart, Shutdown,"),
        ],
        ["normally:\n  website is running\n  import is gone\n  greeting is gone\n"],
        [],
    ),
    "03, a temporary child": (
        "03_three_strategies",
        [
            ('name="index"', 'name="index", restart=Restart.TEMPORARY'),
            ("GenServer, Strategy", "GenServer, Restart, Strategy"),
        ],
        ["TimeoutError", "no actor has this name (a temporary child does not come back"],
        ["restarts ["],
    ),
    "04, a transient branch": (
        "04_giving_up",
        [
            ('name="branch", max', 'name="branch", restart=Restart.TRANSIENT, max'),
            ("    Supervisor,", "    Restart, Supervisor,"),
        ],
        ["crash 1: branch restarts leaf\n", "TimeoutError"],
        ["crash 2"],
    ),
    "05, an except that undoes": (
        "05_a_box_office_that_drifts",
        [
            (
                "        seat = self.free.pop(0)\n        self.sold[seat] = customer.title()\n",
                (
                    "        try:\n            seat = self.free.pop(0)\n"
                    "            self.sold[seat] = customer.title()\n"
                    "        except Exception:\n            self.free.insert(0, seat)\n"
                    "            raise\n"
                ),
            ),
            ('"cleo", "dan"]', '"cleo", "dan", "eve"]'),
        ],
        ["cleo gets seat A3", "dan gets seat A4", "eve: UnboundLocalError"],
        [],
    ),
    "08, no reply": (
        "08_a_reply_that_comes_later",
        [('        reply(customer, f"{what}, still warm")\n', "")],
        ["are you open? yes", "CallTimeout"],
        [],
    ),
    "11, another order": (
        "11_a_boot_that_fails",
        [
            ('        Part.child_spec("cache", id="cache"),\n', ""),
            (
                '        Part.child_spec("database"',
                '        Part.child_spec("cache", id="cache"),\n        Part.child_spec("database"',
            ),
        ],
        ["files is up\ncache is up\ncache goes down: Shutdown()\nfiles goes down"],
        [],
    ),
    "13, nobody kills": (
        "13_kill_and_orphans",
        [('    chaos.kill("printer")\n    wait_until_restarted("printer")\n', "")],
        ["the printer hangs", "CallTimeout"],
        ["a new printer"],
    ),
    "14, any significant child": (
        "14_significant_children",
        [("ALL_SIGNIFICANT", "ANY_SIGNIFICANT"), ('stop("mail")\nprint("mail is done")\n', "")],
        ["upload is done\nthe helper has ended: Shutdown()\nthe supervisor has ended"],
        [],
    ),
    "15, a permanent visit": (
        "15_dynamic_workers",
        [
            ("restart=Restart.TEMPORARY", "restart=Restart.PERMANENT"),
            ("DynamicSupervisor.terminate_child(shop, ann)", "stop(ann)"),
            ("Restart, call", "Restart, call, stop"),
        ],
        ["MaxChildren"],
        ["buys milk"],
    ),
    "17, async_ in a plain thread": (
        "17_tasks",
        [("async_nolink(", "async_(")],
        ["no value: Crash(ZeroDivisionError"],
        [],
    ),
    "18, one item fails": (
        "18_mapping_over_many_items",
        [
            (
                "    return number * number",
                "    if number == 3:\n        raise ValueError\n    return number * number",
            )
        ],
        ["TaskExit"],
        ["the first squares"],
    ),
    "19, a name that nobody has": (
        "19_names",
        [('Via("rooms", 2), "what', 'Via("rooms", 3), "what')],
        ["CallExit", "has no actor under 3"],
        [],
    ),
    "22, all for one": (
        "22_error_kernel",
        [("REST_FOR_ONE", "ONE_FOR_ALL")],
        ["in the till: 5\n"],
        [],
    ),
    "24, its supervisor is killed": (
        "24_the_job_queue_itself",
        [
            ('chaos.kill("antq.queue.kitchen")', "chaos.kill(kitchen)"),
            (
                '    print("\\nthe queue actor',
                (
                    "    (queues,) = [each for each in Supervisor.which_children(app.root)"
                    ' if each.id == "queues"]\n'
                    "    ((_, kitchen, _),) = Supervisor.which_children(queues.ref)\n"
                    '    print("\\nthe queue actor'
                ),
            ),
            ("DynamicSupervisor, chaos", "DynamicSupervisor, Supervisor, chaos"),
            (
                "    show(job.id)\n    may_end",
                "    print(app.get_job(job.id).interruptions)\n    may_end",
            ),
        ],
        ["the queue actor is killed\n0\n"],
        [],
    ),
}


@pytest.mark.parametrize("drill", DRILLS)
def test_the_answer_of_the_drill_is_right(drill, tmp_path):
    program, changes, said, unsaid = DRILLS[drill]
    source = (PROGRAMS / f"{program}.py").read_text(encoding="utf-8")
    for was, becomes in changes:
        assert was in source, was
        source = source.replace(was, becomes)
    changed = tmp_path / f"{program}.py"
    changed.write_text(source, encoding="utf-8")

    done = subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, changed], capture_output=True, text=True, timeout=100, check=False
    )

    out = done.stdout + done.stderr
    assert [text for text in said if text not in out] == [], out
    assert [text for text in unsaid if text in done.stdout] == [], out
