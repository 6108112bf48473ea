"""What ``help()`` shows of the fields of a class."""

import pydoc
import subprocess
import sys

import pytest

import antq_actors
from antq_actors import QueueConfig
from antq_actors.introspection import explain_fields

EXPLAINED = [
    *("AttemptError", "Backoff", "Health", "Imported", "Job", "JobOptions", "NodeInfo"),
    *("Progress", "QueueConfig", "QueueInfo", "QueueStatus", "Unique", "WorkerOptions"),
]


def explanations(text):
    """What follows each field in a docstring, by its name."""
    parts = text.partition("\nFields:\n\n")[2].splitlines()
    found, name = {}, ""
    for line in parts:
        if line.startswith("    "):
            found[name] += line.strip()
        else:
            name = line.partition(":")[0]
            found[name] = ""
    return found


@pytest.mark.parametrize("name", EXPLAINED)
def test_the_docstring_of_a_class_explains_each_of_its_fields(name):
    cls = getattr(antq_actors, name)

    explained = explanations(cls.__doc__)

    assert explained.keys() == {field for field in cls.__annotations__ if field[0] != "_"}
    assert all(len(text) > 5 for text in explained.values()), explained


@pytest.mark.parametrize("name", ["QueueConfig", "QueueStatus", "Unique", "Backoff", "Imported"])
def test_help_shows_what_each_field_is_for(name):
    cls = getattr(antq_actors, name)

    shown = " ".join(pydoc.render_doc(cls, renderer=pydoc.plaintext).replace("|", " ").split())

    for field, text in explanations(cls.__doc__).items():
        assert f"{field}: " in shown
        assert text[:40] in shown


def test_a_class_keeps_its_docstring_where_there_is_no_source():
    namespace = {"explain_fields": explain_fields, "__name__": "nowhere"}
    exec("@explain_fields\nclass Bare:\n    'What it is.'\n    size: int", namespace)  # noqa: S102

    assert namespace["Bare"].__doc__.startswith("What it is.")


def test_a_field_without_a_default_shows_its_type():
    assert "concurrency: int = 5\n    Jobs performed at once" in QueueConfig.__doc__
    assert "name: str\n" in antq_actors.QueueStatus.__doc__


def test_an_optimized_interpreter_has_no_docstrings_and_no_trouble():
    program = "import antq_actors as a; print(a.QueueConfig(), a.Job, a.JobOptions)"

    done = subprocess.run([sys.executable, "-OO", "-c", program], check=False)  # noqa: S603

    assert done.returncode == 0
