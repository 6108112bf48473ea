"""``antq course``: list, show, run and check the programs and exercises of the OTP course.

The programs are in ``examples/otp/``; a wheel has them in ``antq_actors/examples/otp/``. A program
runs in a process of its own, since it may crash, hang or end that process.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

import antq_actors
from antq_actors.checks import close_matches
from antq_actors.cli import output
from antq_actors.errors import AntqError

_OUTPUT_MARK: Final = "\n# Output:\n"
_KILLED: Final = 128
"""Plus the number of the signal: the exit code of a program that a signal ended, as in a shell."""


class Lesson(NamedTuple):
    """A program of the course, or an exercise, which also has an answer and checks."""

    name: str
    file: Path
    answer: Path | None = None
    checks: Path | None = None

    @property
    def title(self) -> str:
        """Return the first line of the docstring in the course program's file."""
        return self.file.read_text(encoding="utf-8").splitlines()[0].strip('"')


def course(
    lesson: Annotated[
        str | None,
        typer.Argument(
            metavar="LESSON",
            help="The number of a program, or the name of an exercise or its beginning.",
            show_default=False,
        ),
    ] = None,
    *,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy its file into the current directory.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check this solution of the exercise.", dir_okay=False),
    ] = None,
    answer: Annotated[
        bool, typer.Option("--answer", help="Show and run the worked answer of the exercise.")
    ] = False,
) -> int:
    """List the programs of the OTP course; show and run one.

    Without a LESSON it lists all programs and exercises. With the number of a program it shows and
    runs the program; with the name of an exercise it shows the task. Predict what a program will
    print before you run it, then --copy it and change it.

    \b
    Examples:
      antq course
      antq course 3
      antq course 3 --copy
      antq course chat_server --copy
      antq course chat_server --check chat_server.py
      antq course chat_server --answer
    """
    if copy + answer + (check is not None) > (lesson is not None):
        raise typer.BadParameter(
            "give a LESSON and at most one of --copy, --check and --answer",
            param_hint="LESSON",
        )
    if lesson is None:
        _list()
        return 0
    chosen = _find(lesson)
    if copy:
        _copy(chosen)
        return 0
    if check is not None:
        return _check(chosen, check)
    if answer:
        return _show_and_run(_of_exercise(chosen, chosen.answer))
    if chosen.answer is not None:
        _show_task(chosen)
        return 0
    return _show_and_run(chosen.file)


# ---- the files -------------------------------------------------------------------------------


def folder() -> Path:
    """Return the folder of the course's programs: inside the package, or beside it."""
    package = Path(antq_actors.__file__).parent
    for place in (package, package.parent):
        if (programs := place / "examples" / "otp").is_dir():
            return programs
    raise AntqError(f"the programs of the course are not installed: no examples/otp in {package}")


def programs() -> list[Lesson]:
    """Return the numbered programs of the course found in its folder, in reading order."""
    return [Lesson(file.stem, file) for file in sorted(folder().glob("[0-9][0-9]_*.py"))]


def exercises() -> list[Lesson]:
    """Return the exercises of the course found in its folder, in reading order."""
    place = folder() / "exercises"
    names = [file.stem.removesuffix("_answer") for file in sorted(place.glob("*_answer.py"))]
    return [
        Lesson(name, place / f"{name}.py", place / f"{name}_answer.py", place / f"{name}_check.py")
        for name in names
    ]


def _find(lesson: str) -> Lesson:
    if lesson.isdecimal():
        return _numbered(lesson)
    wanted = lesson.removesuffix(".py").replace("-", "_")
    lessons = [*exercises(), *programs()]
    found = [each for each in lessons if each.name == wanted]
    found = found or [each for each in lessons if each.name.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    names = [each.name for each in found or exercises()]
    close = [each.name for each in found] or close_matches(wanted, [e.name for e in lessons], 3)
    hint = (
        f"did you mean {' or '.join(close)}?" if close else f"the exercises are {', '.join(names)}"
    )
    raise typer.BadParameter(f"there is no lesson {lesson!r}; {hint}", param_hint="LESSON")


def _numbered(number: str) -> Lesson:
    lessons = programs()
    for lesson in lessons:
        if lesson.name[:2].lstrip("0") == number.lstrip("0"):
            return lesson
    raise typer.BadParameter(
        f"there is no program {number}; they are numbered 1 to {len(lessons)}", param_hint="LESSON"
    )


def _of_exercise(lesson: Lesson, file: Path | None) -> Path:
    if file is None:
        names = ", ".join(each.name for each in exercises())
        raise typer.BadParameter(
            f"{lesson.name} is a program, and only exercises have checks and answers: {names}",
            param_hint="LESSON",
        )
    return file


# ---- the actions -----------------------------------------------------------------------------


def _list() -> None:
    output.write("Programs to read and run, for example: antq course 1\n")
    for lesson in programs():
        output.write(f"  {int(lesson.name[:2]):2}  {lesson.name[3:].replace('_', ' ')}")
    output.write("\nExercises to solve yourself, for example: antq course chat_server\n")
    for lesson in exercises():
        output.write(f"  {lesson.name:13}{lesson.title.removeprefix('Exercise: ')}")
    output.write("\nThe chapters of the course are in docs/otp/ of the sources.")


def _show_and_run(file: Path) -> int:
    source, _, _ = file.read_text(encoding="utf-8").partition(_OUTPUT_MARK)
    _show(source.rstrip("\n"))
    output.write(f"\n# {file.name} prints:\n")
    return _run(file)


def _show_task(exercise: Lesson) -> None:
    source = exercise.file.read_text(encoding="utf-8")
    output.write(source.split('"""')[1].strip("\n"))
    name = exercise.name
    check = f"--check {name}.py"
    output.write(
        f"\nantq course {name} {'--copy':{len(check)}}  write {name}.py here, to work on it"
        f"\nantq course {name} {check}  check it"
        f"\nantq course {name} {'--answer':{len(check)}}  show a worked answer"
    )


def _show(source: str) -> None:
    if not sys.stdout.isatty():
        output.write(source)
        return
    from rich.console import Console  # noqa: PLC0415 - only for a terminal, and not for the list
    from rich.syntax import Syntax  # noqa: PLC0415 - the same

    with output.writing():
        Console().print(
            Syntax(source, "python", theme="ansi_dark", background_color="default", word_wrap=True)
        )


def _copy(lesson: Lesson) -> None:
    target = Path(lesson.file.name)
    try:
        with target.open("x", encoding="utf-8") as new:
            new.write(lesson.file.read_text(encoding="utf-8"))
    except FileExistsError:
        raise AntqError(f"{target} already exists, and is not overwritten") from None
    output.write(f"{target} is copied to the current directory")


def _check(lesson: Lesson, solution: Path) -> int:
    checks = _of_exercise(lesson, lesson.checks)
    if not solution.exists():
        raise AntqError(
            f"there is no file {solution}; antq course {lesson.name} --copy writes a file to start"
            f" with"
        )
    return _run(checks, str(solution.resolve()))


def _run(file: Path, *arguments: str) -> int:
    """Run a program of the course in a process, copy its output, and return its exit code."""
    with subprocess.Popen(  # noqa: S603 - our own programs
        [sys.executable, "-u", str(file), *arguments],
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},  # as we read it, whatever the locale
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as running:
        try:
            for line in running.stdout or ():
                output.write(line.rstrip("\n"))
        except (OSError, AntqError):
            running.kill()  # else it would end with a traceback, as its output is not read
            raise
    return running.returncode if running.returncode >= 0 else _KILLED - running.returncode
