"""``antq course``: it lists the programs, shows and runs one, and checks an exercise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.programs import run_python

from antq_actors.cli import REFUSED, USAGE, course, run

PROGRAMS = Path(__file__).parent.parent.parent / "examples" / "otp"


@pytest.fixture
def antq_course(capsys, tmp_path, monkeypatch):
    """Runs the command in an empty folder; returns exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def antq_course(*arguments):
        code = run(["course", *arguments])
        return code, *capsys.readouterr()

    return antq_course


def test_without_a_lesson_all_programs_and_exercises_are_listed(antq_course):
    code, out, _ = antq_course()

    assert code == 0
    numbers = [int(number) for number in re.findall(r"^ +(\d+)  \w", out, re.MULTILINE)]
    assert numbers == list(range(1, len(list(PROGRAMS.glob("*.py"))) + 1))
    assert "   3  three strategies\n" in out
    assert re.search(r"^  chat_server +a chat server", out, re.MULTILINE)
    assert re.search(r"^  crawler +a crawler", out, re.MULTILINE)


@pytest.mark.parametrize("lesson", ["3", "03", "03_three_strategies", "03_three_strategies.py"])
def test_a_program_is_shown_without_its_output_and_run(antq_course, lesson):
    code, out, _ = antq_course(lesson)

    shown, _, printed = out.partition("\n# 03_three_strategies.py prints:\n\n")
    assert code == 0
    source, _, promised = (
        (PROGRAMS / "03_three_strategies.py").read_text(encoding="utf-8").partition("\n# Output:\n")
    )
    assert shown.strip() == source.strip()
    assert printed == re.sub("^# ", "", promised, flags=re.MULTILINE)


def test_copy_writes_the_program_here_and_overwrites_nothing(antq_course, tmp_path):
    copied = antq_course("1", "--copy")
    again = antq_course("1", "--copy")

    name = "01_a_counter_that_crashes.py"
    assert copied[0] == 0
    assert name in copied[1]
    assert (tmp_path / name).read_bytes() == (PROGRAMS / name).read_bytes()
    assert again == (REFUSED, "", f"antq: {name} already exists, and is not overwritten\n")


@pytest.mark.parametrize("lesson", ["chat_server", "chat-server", "chat"])
def test_of_an_exercise_the_task_is_shown_and_how_to_go_on(antq_course, lesson):
    code, out, _ = antq_course(lesson)

    assert code == 0
    assert out.startswith("Exercise: a chat server.")
    assert "antq course chat_server --check chat_server.py" in out
    assert "def start_chat" not in out


@pytest.mark.parametrize("exercise", ["chat_server", "crawler"])
def test_the_next_steps_of_an_exercise_are_explained_in_one_column(antq_course, exercise):
    _, out, _ = antq_course(exercise)

    write, check, show = out.splitlines()[-3:]
    assert write.index("write ") == check.index("check it") == show.index("show ")


def test_the_answer_of_an_exercise_is_shown_and_run(antq_course):
    code, out, _ = antq_course("chat", "--answer")

    assert code == 0
    assert "DynamicSupervisor.child_spec" in out
    assert out.endswith("the room has kept ['Bob: hello', 'Bob: still here?']\n")


def test_a_copied_exercise_is_all_to_do_and_its_answer_all_ok(antq_course, tmp_path):
    antq_course("crawler", "--copy")
    begun = antq_course("crawler", "--check", "crawler.py")
    answer = (PROGRAMS / "exercises" / "crawler_answer.py").read_text(encoding="utf-8")
    (tmp_path / "crawler.py").write_text(answer, encoding="utf-8")
    solved = antq_course("crawler", "--check", "crawler.py")

    assert begun[0] == 1
    assert begun[1].endswith("\n0 of 6\n")
    assert solved[0] == 0
    assert solved[1].endswith("\n6 of 6\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["0"], USAGE, "they are numbered 1 to"),
        (["99"], USAGE, "they are numbered 1 to"),
        (["chatserver"], USAGE, "did you mean chat_server?"),
        (["nothing like it"], USAGE, "the exercises are chat_server, crawler"),
        (["--copy"], USAGE, "give a LESSON"),
        (["3", "--copy", "--answer"], USAGE, "at most one of"),
        (["3", "--answer"], USAGE, "only exercises have checks and answers: chat_server, crawler"),
        (["3", "--check", "x.py"], USAGE, "only exercises have checks and answers"),
        (["crawler", "--check", "x.py"], REFUSED, "antq course crawler --copy writes a file"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(antq_course, arguments, code, said):
    got, out, err = antq_course(*arguments)

    assert (got, out) == (code, "")
    assert said in err


def test_the_exit_code_of_a_program_is_passed_on(antq_course, tmp_path, monkeypatch):
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "01_fails.py").write_text("print('so far', flush=True)\nraise SystemExit(7)\n")
    (folder / "02_is_killed.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    monkeypatch.setattr(course, "folder", lambda: folder)

    fails, killed = antq_course("1"), antq_course("2")

    assert fails[0] == 7
    assert fails[1].endswith("so far\n")
    assert killed[0] == 128 + 9


def test_a_program_whose_output_nobody_reads_ends_without_a_traceback():
    done = subprocess.run(  # noqa: S602 - a pipe between two programs is what it is about
        f"{sys.executable} -m antq_actors course 3 | sed '/ prints:$/q'",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "prints:" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_tree_is_shown_whatever_standard_output_can_write(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "antq_actors", "course", "16"],
        env={"PYTHONIOENCODING": encoding, "PATH": ""},
        capture_output=True,
        timeout=60,
        check=True,
    )

    branch = "└── 2" if encoding == "utf-8" else r"\u2514\u2500\u2500 2"
    assert branch in done.stdout.decode(encoding)


def test_the_command_imports_no_library_to_list_the_course():
    program = (
        "import sys\n"
        "from antq_actors.cli import run\n"
        "run(['course'])\n"
        "heavy = {'lmdb', 'msgspec', 'pykka', 'rich.console', 'antq_actors.otp'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = run_python("-c", program, check=True)

    assert done.stdout.endswith("\n[]\n")
