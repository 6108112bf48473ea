"""What the user's code raises when a command imports it is shown, with the user's frames alone."""

import pytest

from antq_actors.cli import REFUSED, run

HEAD = "Traceback (most recent call last):"
CHAINED = """
def connect():
    try:
        {}["HOST"]
    except KeyError as error:
        raise RuntimeError("no host") from error
connect()
"""


@pytest.fixture
def start(odd_app, capsys):
    """Returns the file of a module and what ``antq start`` shows of it, but for the last line."""

    def start(source, name="app"):
        file = odd_app(source)
        code = run(["start", f"its_odd_app:{name}"])
        out, err = capsys.readouterr()
        *shown, last = err.splitlines()
        what = "the import of 'its_odd_app'" if name == "app" else f"'its_odd_app:{name}'"
        assert (code, out, last) == (REFUSED, "", f"antq: {what} failed")
        return file, shown

    return start


@pytest.mark.parametrize(
    ("source", "name", "line", "error"),
    [
        ("raise RuntimeError('no ✓ config')", "app", 1, "RuntimeError: no ✓ config"),
        ("import sys\nsys.exit(3)", "app", 2, "SystemExit: 3"),
        (
            "import nowhere_at_all",
            "app",
            1,
            "ModuleNotFoundError: No module named 'nowhere_at_all'",
        ),
        ("def make():\n    raise KeyError('home')", "make", 2, "KeyError: 'home'"),
        ("def make():\n    raise SystemExit", "make", 2, "SystemExit"),
    ],
)
def test_an_exception_is_shown_with_the_users_frame_alone(start, source, name, line, error):
    file, shown = start(source, name)

    where = "<module>" if name == "app" else name
    assert [text for text in shown if text.strip(" ^~")] == [
        HEAD,
        f'  File "{file}", line {line}, in {where}',
        f"    {source.splitlines()[line - 1].strip()}",
        error,
    ]


def test_a_refusal_of_ours_is_shown_where_the_user_asked_for_it(start):
    file, shown = start("from antq_actors import AntQ\napp = AntQ(queues={'a': 0})")

    assert shown[:2] == [HEAD, f'  File "{file}", line 2, in <module>']
    assert "concurrency must be at least 1" in shown[-1]
    assert sum(text.startswith("  File ") for text in shown) == 1


def test_a_syntax_error_is_shown_as_python_shows_it(start):
    file, shown = start("x = 1\ndef app(:")

    assert shown[0] == f'  File "{file}", line 2'
    assert shown[-1] == "SyntaxError: invalid syntax"


def test_a_module_that_is_no_text_is_one_line(start):
    _, shown = start("x = '\0'")

    assert len(shown) == 1
    assert "null bytes" in shown[0]


def test_chained_exceptions_are_all_shown(start):
    file, shown = start(CHAINED)

    assert [text for text in shown if text.startswith("  File ")] == [
        f'  File "{file}", line 4, in connect',
        f'  File "{file}", line 7, in <module>',
        f'  File "{file}", line 6, in connect',
    ]
    assert "KeyError: 'HOST'" in shown
    assert shown[-1] == "RuntimeError: no host"


def test_a_module_without_the_name_that_raises_is_shown(start):
    _, shown = start("def __getattr__(name):\n    1 / 0", "other")

    assert shown[-1] == "ZeroDivisionError: division by zero"


def test_a_traceback_drives_no_terminal(start):
    _, shown = start("raise RuntimeError('\\x1b[2J')")

    assert shown[-1] == "RuntimeError: \\x1b[2J"
