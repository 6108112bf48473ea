"""docs/reference.md is what the docstrings say, and shows every public name."""

import inspect
import re
from pathlib import Path

from support.programs import run_python

import antq_actors
from antq_actors import errors, otp

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def headings():
    return re.findall(r"^### ([\w.]+)$", PAGE, re.MULTILINE)


def public_errors():
    return {
        name
        for name, each in vars(errors).items()
        if inspect.isclass(each) and issubclass(each, errors.AntqError)
    }


def errors_of_supervision():
    return {
        f"otp.{name}"
        for name in otp.__all__
        if inspect.isclass(each := getattr(otp, name)) and issubclass(each, BaseException)
    }


def test_the_reference_shows_every_public_name_and_error_once():
    names = {*antq_actors.__all__, *public_errors(), *errors_of_supervision()} - {"__version__"}

    assert sorted(headings()) == sorted(names)


def test_the_reference_shows_every_public_method_of_an_application():
    methods = {name for name in dir(antq_actors.AntQ) if not name.startswith(("_", "antq_"))}

    shown = set(re.findall(r"^(?:#### AntQ\.|- `)(\w+)", PAGE, re.MULTILINE))

    assert methods <= shown


def test_the_reference_is_what_the_docstrings_say():
    done = run_python(ROOT / "docs" / "reference.py", "--check")

    assert done.returncode == 0, done.stderr


def test_of_overloads_the_general_ones_are_shown():
    shown = re.findall(r"^def worker\((\**\w+)", PAGE, re.MULTILINE)

    assert shown == ["function", "**options"]


def test_no_constructor_is_shown_of_what_only_the_package_makes():
    shown = re.findall(r"^([A-Z]\w+)\(", PAGE, re.MULTILINE)

    made = {"AntQ", "QueueConfig", "Unique", "Backoff", "Snooze", "RateLimited", "Cron", "Every"}
    made |= {"Concurrency", "RateLimit", "Result", "Workflow"}
    assert made == set(shown)
