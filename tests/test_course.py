"""The course in OTP: its pages show what is in its programs, and its exercises can be solved.

A program that is changed as a drill says does what the answer says."""

import re
import textwrap
from pathlib import Path

import pytest
from support.programs import run_python

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "otp").glob("[0-9][0-9]-*.md"))
PROGRAMS = sorted((ROOT / "examples" / "otp").glob("*.py"))
EXERCISES = ROOT / "examples" / "otp" / "exercises"
EXCERPT = re.compile(r"^```python (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def excerpts(page):
    """Return the excerpts of a page, as (file, code): their fences say ``python FILE``."""
    found = EXCERPT.findall(page.read_text(encoding="utf-8"))
    return [(file, code) for file, code in found if file != "no-run"]


def is_excerpt(code, program):
    """Return whether *code* is some lines of *program* that follow one another, indented less."""
    lines, wanted = program.splitlines(), code.splitlines()
    return any(
        textwrap.dedent("\n".join(lines[start : start + len(wanted)])).splitlines() == wanted
        for start in range(len(lines))
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_shows_code_that_is_in_the_program(page):
    shown = excerpts(page)

    assert shown
    for file, code in shown:
        program = (ROOT / file).read_text(encoding="utf-8")
        assert is_excerpt(code, program), f"this is not in {file}; copy it anew:\n{code}"


def test_code_that_differs_from_the_program_is_no_excerpt():
    program = "def f():\n    if a:\n        b()\n    c()\n"

    assert is_excerpt("if a:\n    b()\n", program)
    assert not is_excerpt("if a:\n    c()\n", program)
    assert not is_excerpt("if a:\nb()\n", program)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_python_of_a_chapter_goes_without_its_file(page):
    assert not re.search(r"^```python$", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_program_is_shown_in_the_chapter_of_its_number():
    shown = [Path(file).name for page in PAGES for file, _ in excerpts(page)]

    in_reading_order = list(dict.fromkeys(name for name in shown if name[0].isdecimal()))
    assert in_reading_order == [program.name for program in PROGRAMS]


@pytest.mark.parametrize("program", PROGRAMS[:4], ids=lambda program: program.name)
def test_the_first_programs_have_no_plumbing_of_events(program):
    source = program.read_text(encoding="utf-8")

    assert "wait_until_restarted(" in source
    assert [
        word for word in ("EventStream", "subscribe", "events", "sleep") if word in source
    ] == []


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_no_program_polls_for_a_restart(program):
    source = program.read_text(encoding="utf-8")

    assert "sleep(" not in source
    assert not re.search(r"while .*whereis", source)


def test_the_box_office_that_catches_drifts_and_the_other_does_not():
    drifts, restarts = [run_python(program, check=True).stdout for program in PROGRAMS[4:6]]

    assert "sold: {'A1': 'Ann', 'A3': 'Bob'}\nfree: []" in drifts
    assert "sold: {'A1': 'Ann', 'A2': 'Bob', 'A3': 'Cleo', 'A4': 'Dan'}" in restarts


# ---- exercises ------------------------------------------------------------------------------


def check(exercise, source, folder):
    """Check a solution of the exercise; return the exit code and what was printed."""
    solution = folder / f"{exercise}.py"
    solution.write_text(source, encoding="utf-8")
    done = run_python(EXERCISES / f"{exercise}_check.py", solution, timeout=200)
    assert not done.stderr
    return done.returncode, done.stdout


def answer(exercise, **changes):
    """Return the worked answer, with some text in it replaced: ``was=…, becomes=…``."""
    source = (EXERCISES / f"{exercise}_answer.py").read_text(encoding="utf-8")
    if changes:
        assert changes["was"] in source
        source = source.replace(changes["was"], changes["becomes"])
    return source


@pytest.mark.parametrize(("exercise", "count"), [("chat_server", 7), ("crawler", 6)])
def test_an_exercise_that_was_not_begun_is_all_to_do(exercise, count, tmp_path):
    code, out = check(
        exercise, (EXERCISES / f"{exercise}.py").read_text(encoding="utf-8"), tmp_path
    )

    assert code == 1
    assert out.count("to do  ") == count
    assert out.endswith(f"\n0 of {count}\n")


@pytest.mark.parametrize("exercise", ["chat_server", "crawler"])
def test_the_sentences_of_the_task_are_those_that_are_checked(exercise):
    task = (EXERCISES / f"{exercise}.py").read_text(encoding="utf-8")
    checks = (EXERCISES / f"{exercise}_check.py").read_text(encoding="utf-8")

    sentences = re.findall(r"^\d\. (.*)$", task, re.MULTILINE)
    assert len(sentences) >= 6
    check_function = r'^def \w+\((?:chat|crawler)\):\n    """(.*)"""$'
    assert sentences == re.findall(check_function, checks, re.MULTILINE)


@pytest.mark.parametrize("exercise", ["chat_server", "crawler"])
def test_the_parts_in_the_answer_are_those_of_the_task(exercise):
    task = (EXERCISES / f"{exercise}.py").read_text(encoding="utf-8")

    classes = re.findall(r"^class .*?(?=^\S)", task, re.MULTILINE | re.DOTALL)
    assert len(classes) >= 2
    assert [each for each in classes if each not in answer(exercise)] == []


WRONG = [
    (
        "chat_server",
        '"room supervisor", max_restarts=100',
        '"room supervisor"',
        "A room may crash twenty times in a row, and all others stay open.",
    ),
    (
        "chat_server",
        "Guest.child_spec(room, restart=Restart.TEMPORARY)",
        "Guest.child_spec(room)",
        "A guest that crashes is gone, and is not restarted.",
    ),
    (
        "chat_server",
        'Via("rooms", name))',
        'Via("rooms", name), restart=Restart.TEMPORARY)',
        "A room that crashes comes back under its name.",
    ),
    (
        "chat_server",
        "return error.ref",
        "return None",
        "Opening a room that is open returns that room.",
    ),
    (
        "chat_server",
        'DynamicSupervisor.start_child(\n        "guest supervisor", Guest',
        "(lambda spec: spec.start(*spec.args, **spec.kwargs))(\n        Guest",
        "A guest that crashes is gone, and is not restarted.",
    ),
    (
        "chat_server",
        "Guest.child_spec(room,",
        'Guest.child_spec("python",',
        "What is said in a room is heard by its guests, and by no one else.",
    ),
    (
        "crawler",
        "max_restarts=100",
        "max_restarts=3",
        "The crawl goes on if there are twenty such pages.",
    ),
    (
        "crawler",
        "strategy=Strategy.REST_FOR_ONE",
        "strategy=Strategy.ONE_FOR_ONE",
        "If the frontier crashes, the crawl starts again, and completes.",
    ),
    (
        "crawler",
        "max_restarts=100",
        "max_restarts=100, strategy=Strategy.ONE_FOR_ALL",
        "A page whose fetch raises is tried three times; no other page is affected.",
    ),
    (
        "crawler",
        "    return Supervisor.start(",
        "    Supervisor.start(",
        "Every page that can be reached from the first is fetched, once.",
    ),
    (
        "crawler",
        "max_restarts=100",
        "max_restarts=100, strategy=Strategy.REST_FOR_ONE",
        "A page whose fetch raises is tried three times; no other page is affected.",
    ),
    (
        "crawler",
        'id=f"fetcher {number}", restart=Restart.TRANSIENT, significant=True',
        "id=number",
        "Every page that can be reached from the first is fetched, once.",
    ),
    (
        "crawler",
        "range(fetchers)",
        "range(2)",
        "Three pages are fetched at a time, if there are that many.",
    ),
    (
        "crawler",
        "auto_shutdown=AutoShutdown.ANY_SIGNIFICANT",
        "name='crawler'",
        "When the work is done, the whole tree ends by itself, and not before.",
    ),
]


@pytest.mark.parametrize(("exercise", "was", "becomes", "sentence"), WRONG)
def test_the_checks_find_what_is_wrong_in_a_tree(exercise, was, becomes, sentence, tmp_path):
    code, out = check(exercise, answer(exercise, was=was, becomes=becomes), tmp_path)

    assert code == 1, out
    assert f"no     {sentence}\n" in out, out


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere\n", "No module named 'nowhere'"),
        ("def start_chat(:\n", "SyntaxError"),
        ("import sys\nsys.exit('no')\n", "SystemExit"),
    ],
)
def test_a_solution_that_cannot_be_imported_is_told_so(source, said, tmp_path):
    code, out = check("chat_server", source, tmp_path)

    assert code == 1
    assert out.startswith("chat_server.py cannot be imported:\n")
    assert said in out


# ---- drills -------------------------------------------------------------------------------------


FOLDER = Path(__file__).parent.parent / "examples" / "otp"

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
    source = (FOLDER / f"{program}.py").read_text(encoding="utf-8")
    for was, becomes in changes:
        assert was in source, was
        source = source.replace(was, becomes)
    changed = tmp_path / f"{program}.py"
    changed.write_text(source, encoding="utf-8")

    done = run_python(changed, timeout=100)

    out = done.stdout + done.stderr
    assert [text for text in said if text not in out] == [], out
    assert [text for text in unsaid if text in done.stdout] == [], out
