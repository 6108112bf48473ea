"""The errors of a job that is performed are a tuple, read when somebody looks."""

import copy
import pickle
from datetime import UTC, datetime

import msgspec
import pytest

from antq_actors.jobs.job import AttemptError, LateErrors

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
