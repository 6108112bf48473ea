"""Errors: texts and traces that can always be stored, and what a performed job shows of them."""

import asyncio
import copy
import pickle
import re
import traceback
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.demo import campaign
from antq_actors.jobs import attempt_error, perform, resolver
from antq_actors.jobs.attempt_error import (
    TEXT_LIMIT,
    TRACE_LIMIT,
    cut,
    describe,
    is_users,
    summary,
    trace,
    users_part,
)
from antq_actors.jobs.job import AttemptError, LateErrors


def raised(error):
    try:
        raise error  # noqa: TRY301 - this frame is what the trace has to show
    except BaseException as caught:  # noqa: BLE001 - any error may be the case
        return caught


class Unprintable(Exception):
    def __str__(self):
        raise SystemExit


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such address"), "no such address"),
        (ValueError(), "ValueError"),
        (ValueError(""), "ValueError"),
        ("", ""),
        (Unprintable(), "Unprintable"),
    ],
)
def test_an_error_is_described_by_its_text_or_else_by_its_class(error, text):
    assert describe(error) == text


def test_what_a_caller_asks_for_passes_through_the_text():
    with pytest.raises(SystemExit):
        describe(Unprintable(), propagate=(SystemExit,))


@given(st.text(st.characters(codec=None)), st.integers(100, 300), st.booleans())
def test_any_text_is_cut_to_its_limit_in_utf_8(text, limit, keep_end):
    assert len(cut(text * 10, limit, keep_end=keep_end).encode()) <= limit


@given(st.text(st.characters(codec="utf-8"), max_size=25))
def test_a_text_within_its_limit_is_kept(text):
    assert cut(text, 100) == text


def test_lone_surrogates_are_written_as_escapes():
    assert cut("a\ud800", 100) == "a\\ud800"


def test_a_cut_text_says_so():
    text = describe(ValueError("ä" * TEXT_LIMIT))

    assert text.startswith("ää")
    assert f"{2 * TEXT_LIMIT} bytes, cut to {TEXT_LIMIT}" in text


def test_a_cut_trace_keeps_its_beginning_and_its_end():
    text = trace(raised(ValueError("x" * 2 * TRACE_LIMIT + "the end")))

    assert text.startswith("Traceback")
    assert "cut to" in text
    assert text.endswith("the end\n")


@pytest.mark.parametrize(
    ("error", "error_type", "shown"),
    [
        ("'user_id'", "KeyError", "KeyError: 'user_id'"),
        ("ValueError", "ValueError", "ValueError"),
        ("card declined", None, "card declined"),
    ],
)
def test_an_error_is_shown_after_the_name_of_its_class(error, error_type, shown):
    assert summary(error, error_type) == shown


# ---- frames above the user's -------------------------------------------------------------


def files_in(text):
    return re.findall(r'File "([^"]+)"', text)


def caught(fn):
    """Return what *fn* raises; its traceback begins here, then with *fn* itself."""
    try:
        fn()
    except BaseException as error:  # noqa: BLE001 - any error may be the case
        return error


def trace_of(fn):
    """Return the trace of what *fn* raises, as if what it calls were the outermost frame."""
    error = caught(fn)
    return trace(error.with_traceback(error.__traceback__.tb_next.tb_next))


class Package:
    """Code with file names of its own, as if it were of this package or of Python."""

    def __init__(self, filename):
        namespace = {}
        source = "def call(fn, *args):\n    return fn(*args)\n"
        exec(compile(source, filename, "exec"), namespace)  # noqa: S102 - made above
        self.call = namespace["call"]


ours = Package(perform.__file__)
asyncios = Package(asyncio.__file__)


def fails():
    raise ValueError("no")


def fails_below_ours():
    ours.call(fails)


def test_a_trace_begins_with_the_users_first_frame():
    text = trace_of(lambda: ours.call(asyncios.call, fails))

    assert files_in(text) == [__file__]
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("ValueError: no\n")


def test_a_trace_keeps_our_frames_below_the_users():
    text = trace_of(lambda: ours.call(fails_below_ours))

    assert files_in(text) == [__file__, perform.__file__, __file__]


def test_a_trace_without_a_frame_of_the_users_is_whole():
    text = trace_of(lambda: ours.call(asyncios.call, int, "x"))

    assert files_in(text) == [perform.__file__, asyncio.__file__]


def test_the_frames_of_a_cause_and_of_a_context_are_cut_as_well():
    def chained():
        try:
            ours.call(fails)
        except ValueError as error:
            try:
                ours.call(fails)
            except ValueError:
                raise KeyError("second") from error

    text = trace_of(lambda: ours.call(chained))

    assert "direct cause" in text
    assert set(files_in(text)) == {__file__, perform.__file__}
    assert all(part.split("\n")[1].startswith(f'  File "{__file__}"') for part in parts_of(text))


def parts_of(text):
    return re.findall(r"Traceback \(most recent call last\):.*?(?=\n\n|\Z)", text, re.DOTALL)


def test_the_frames_of_a_groups_members_are_cut_as_well():
    def both():
        errors = []
        for _ in range(2):
            try:
                ours.call(fails)
            except ValueError as error:
                errors.append(strip_first(error))
        raise ExceptionGroup("both", errors)

    text = trace_of(lambda: ours.call(both))

    assert text.count("ValueError: no") == 2
    assert set(files_in(text)) == {__file__}


def strip_first(error):
    """Return *error* as if it had been raised in a task, where no frame of the user's is above."""
    return error.with_traceback(error.__traceback__.tb_next)


def test_a_traceback_for_the_log_begins_with_the_users_first_frame():
    error = caught(lambda: ours.call(fails))

    frames = users_part(error.with_traceback(error.__traceback__.tb_next.tb_next))

    assert frames.tb_frame.f_code is fails.__code__
    assert frames.tb_next is None


def test_a_traceback_for_the_log_without_a_frame_of_the_users_is_whole():
    error = caught(lambda: ours.call(int, "x"))
    frames = error.__traceback__.tb_next.tb_next

    assert users_part(error.with_traceback(frames)) is frames


def unresolved(name):
    """Return what a job of such a worker fails with, from frames of ours alone."""
    error = caught(lambda: resolver.resolve(name, job_id=1))
    return error.with_traceback(error.__traceback__.tb_next.tb_next)


def test_an_exception_of_ours_shows_no_frames_of_ours():
    error = unresolved("no_such_module:send")

    text = trace(error)

    assert files_in(text) == []
    assert text.startswith("ModuleNotFoundError: No module named 'no_such_module'\n\nThe above")
    assert "WorkerNotFound: job 1 names the worker 'no_such_module:send'" in text
    assert users_part(error) is None


def test_an_exception_of_ours_shows_the_users_frames_of_its_cause(tmp_path, monkeypatch):
    module = tmp_path / "breaks_on_import.py"
    module.write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)

    text = trace(unresolved("breaks_on_import:send"))

    assert files_in(text) == [str(module)]


@pytest.mark.parametrize(
    ("filename", "is_the_users"),
    [
        (perform.__file__, False),
        (campaign.__file__, True),
        (asyncio.__file__, False),
        ("<frozen importlib._bootstrap>", False),
        ("<ipython-input-1>", True),
        (pytest.__file__, True),
        (__file__, True),
    ],
)
def test_a_file_of_python_and_of_this_package_is_not_the_users(filename, is_the_users):
    assert is_users(filename) == is_the_users


def test_a_trace_shows_causes():
    try:
        try:
            raise KeyError("first")  # noqa: TRY301 - a cause has to be raised
        except KeyError as cause:
            raise ValueError("second") from cause
    except ValueError as error:
        text = trace(error)

    assert "KeyError: 'first'" in text
    assert "direct cause" in text


def recursive(depth):
    return 1 / 0 if depth == 0 else recursive(depth - 1)


@pytest.mark.parametrize(
    "fn",
    [
        fails,
        lambda: int("1") + int("x"),
        lambda: int("x") + int("1"),
        lambda: [
            1,
            int("x"),
        ],
        lambda: recursive(10),
    ],
)
def test_a_trace_is_what_python_writes_each_time(fn):
    for _ in range(2):
        error = caught(fn)

        assert trace(error) == "".join(traceback.format_exception(error))


def test_a_trace_shows_the_source_as_it_is_now(tmp_path):
    file, namespace = tmp_path / "shop.py", {}
    file.write_text("def order():\n    raise ValueError('before')\n", encoding="utf-8")
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), namespace)  # noqa: S102 - made above
    before = trace(caught(namespace["order"]))

    file.write_text("def order():\n    raise ValueError('afterwards')\n", encoding="utf-8")
    after = trace(caught(namespace["order"]))

    assert "    raise ValueError('before')\n" in before
    assert "    raise ValueError('afterwards')\n" in after


def test_only_so_many_frames_of_traces_are_kept(monkeypatch):
    kept = {}
    monkeypatch.setattr(attempt_error, "_formatted", kept)
    monkeypatch.setattr(attempt_error, "_MOST_FORMATTED", 3)

    for number in range(10):
        trace(caught(Package(f"shop_{number}.py").call))

    assert 1 <= len(kept) <= 3


def test_a_trace_that_cannot_be_shown_says_so():
    error = raised(ValueError("no"))
    error.__notes__ = Raising()

    assert "cannot be shown" in trace(error)


class Raising(list):
    def __iter__(self):
        raise SystemExit


# ---- the errors of a job that is performed are a tuple, read when somebody looks ----------------


FOUND = tuple(
    AttemptError(number, f"error {number}", None, datetime(2026, 1, number, tzinfo=UTC))
    for number in (3, 2, 1)
)


class Reader:
    def __init__(self, found=FOUND):
        self.found = found
        self.reads = 0

    def __call__(self):
        self.reads += 1
        return self.found


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def errors(reader):
    return LateErrors(reader)


def test_nothing_is_read_until_somebody_looks_and_then_once(errors, reader):
    assert isinstance(errors, tuple)
    assert reader.reads == 0

    assert (len(errors), errors[0], errors[-1]) == (3, FOUND[0], FOUND[2])

    assert reader.reads == 1


@pytest.mark.parametrize(
    "look",
    [
        len,
        bool,
        list,
        tuple,
        repr,
        str,
        hash,
        reversed,
        copy.copy,
        copy.deepcopy,
        lambda each: each[0],
        lambda each: each[:2],
        lambda each: each[::-1],
        lambda each: [*each],
        lambda each: (*each, 0),
        lambda each: (each == FOUND, each == (), each != FOUND, FOUND == each, () == each),  # noqa: SIM300
        lambda each: (each == list(FOUND), each == each[:2], each == LateErrors(lambda: FOUND)),
        lambda each: (each < (), () < each, each <= (), each > (), each >= ()),  # noqa: SIM300
        lambda each: (0, *each),
        lambda each: (0,) + each,  # noqa: RUF005 - it is tested
        lambda each: each + (0,),  # noqa: RUF005
        lambda each: each + each,
        lambda each: 2 * each * 2,
        lambda each: (FOUND[1] in each, 0 in each),
        lambda each: (each.index(FOUND[1]), each.count(FOUND[1])),
        lambda each: max(each, key=lambda error: error.attempt),
        lambda each: msgspec.structs.replace(each[0], attempt=7),
    ],
)
def test_it_is_the_tuple_that_it_reads(errors, look):
    expected, found = look(FOUND), look(errors)

    if look is reversed:
        expected, found = list(expected), list(found)
    assert found == expected
    assert type(found) is type(expected)


def test_it_is_unpacked_and_matched_as_a_tuple(errors):
    first, *_, last = errors
    match errors:
        case (newest, _, oldest):
            assert (newest, oldest) == (first, last) == (FOUND[0], FOUND[2])
        case _:
            pytest.fail("it has three errors")


def test_it_is_pickled_as_an_ordinary_tuple(errors):
    travelled = pickle.loads(pickle.dumps(errors))  # noqa: S301 - its own

    assert travelled == FOUND
    assert type(travelled) is tuple


def test_what_cannot_be_read_is_raised_and_read_again_by_the_next_look(reader):
    reader.found = None
    answers = iter([OSError("not now"), FOUND])

    def read():
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    errors = LateErrors(read)

    with pytest.raises(OSError, match="not now"):
        len(errors)
    assert len(errors) == 3
