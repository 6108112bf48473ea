"""What is checked of a periodic job where it is written: each error names what was found."""

from datetime import UTC, date, datetime, timedelta

import pytest

from antq_actors import JobOptions
from antq_actors.errors import CronError
from antq_actors.flow.cron import Cron, Every

NAME = "name of a periodic job must "
TEXT = f"{NAME}not be empty, have no NUL, and be text that UTF-8 can carry, got "
EXAMPLE = "write the IANA name of one, such as 'Europe/Berlin'"
SECONDS = "must be a number of seconds or a timedelta, got"
LONGEST = "x" * 400
"""The longest name: LMDB limits the keys of which it is part."""


def refused(error, **options):
    """Return the text of the *error* that a periodic job raises, whatever says when it is."""
    texts = set()
    for entry, when in ((Cron, "@daily"), (Every, 60)):
        with pytest.raises(error) as caught:
            entry(when, **options)
        assert type(caught.value) is error
        texts.add(str(caught.value))
    (text,) = texts
    return text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tz": "Mars"}, f"the time zone tz='Mars' is not known here; {EXAMPLE}"),
        (
            {"tz": "Europe/Berln"},
            (
                "the time zone tz='Europe/Berln' is not known here; write the IANA name of one;"
                " did you mean 'Europe/Berlin'?"
            ),
        ),
        ({"tz": ""}, f"the time zone tz='' is not known here; {EXAMPLE}"),
        (
            {"tz": "../UTC"},
            (
                "the time zone tz='../UTC' is not known here; write the IANA name of one;"
                " did you mean 'UTC'?"
            ),
        ),
        (
            {"tz": "Europe"},
            (
                "the time zone tz='Europe' is not known here; write the IANA name of one;"
                " did you mean 'Europe/Rome'?"
            ),
        ),
        ({"tz": "localtime"}, f"the time zone tz='localtime' is not known here; {EXAMPLE}"),
        ({"missed": "none"}, "missed must be one of 'once', 'skip', 'all', got 'none' (str)"),
        (
            {"overlap": "queue"},
            "overlap must be one of 'skip', 'allow', 'cancel', got 'queue' (str)",
        ),
        ({"grace": -1}, "grace must not be negative, got -1 (int)"),
        ({"jitter": float("inf")}, "jitter must be finite, got inf"),
        ({"max_missed": 0}, "max_missed must be 1 or more, got 0; missed='skip' makes up for none"),
        ({"max_missed": 1_000_001}, "max_missed must be at most 1,000,000, got 1000001"),
        ({"name": ""}, f"{TEXT}'' (str)"),
        ({"name": "a\0b"}, f"{TEXT}'a\\x00b' (str)"),
        ({"name": "\ud800"}, f"{TEXT}'\\ud800' (str)"),
        (
            {"name": f"{LONGEST}x"},
            (
                f"{NAME}have at most 400 bytes, got 401: '{'x' * 79}… (str); give it a shorter one"
                " with name="
            ),
        ),
        (
            {"name": "ä" * 201},
            (
                f"{NAME}have at most 400 bytes, got 402: '{'ä' * 79}… (str); give it a shorter one"
                " with name="
            ),
        ),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_and_shown(given, said):
    assert refused(CronError, **given) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"tz": UTC},
            (
                "tz must be the IANA name of a time zone, such as 'Europe/Berlin', got"
                " datetime.timezone.utc (timezone)"
            ),
        ),
        ({"missed": None}, "missed must be one of 'once', 'skip', 'all', got None (NoneType)"),
        ({"overlap": 1}, "overlap must be one of 'skip', 'allow', 'cancel', got 1 (int)"),
        ({"grace": "60"}, f"grace {SECONDS} '60' (str)"),
        ({"jitter": True}, f"jitter {SECONDS} True (bool)"),
        ({"max_missed": 1.5}, "max_missed must be a whole number, got 1.5 (float)"),
        ({"max_missed": True}, "max_missed must be a whole number, got True (bool)"),
        ({"name": 7}, f"{NAME}be a str, got 7 (int)"),
        (
            {"args": [1]},
            "args must be a mapping such as {'email': …}, got [1] (list); give options by keyword",
        ),
        (
            {"schedule_in": 5},
            (
                "schedule_in is no option of a periodic job: its expression or period says when its"
                " jobs are made"
            ),
        ),
        (
            {"schedule_at": None},
            (
                "schedule_at is no option of a periodic job: its expression or period says when its"
                " jobs are made"
            ),
        ),
        (
            {"prioritty": 5},
            (
                "unknown option 'prioritty' of a periodic job; did you mean 'priority'?; the"
                " arguments of its jobs are given as args={…}"
            ),
        ),
        (
            {"overlapp": "skip"},
            (
                "unknown option 'overlapp' of a periodic job; did you mean 'overlap'?; the"
                " arguments of its jobs are given as args={…}"
            ),
        ),
        (
            {"region": "eu"},
            (
                "unknown option 'region' of a periodic job; known are args, grace, jitter,"
                " max_attempts, max_missed, meta, missed, name, overlap, priority, queue, timeout,"
                " tz, unique, worker; the arguments of its jobs are given as args={…}"
            ),
        ),
    ],
)
def test_a_value_of_another_type_is_refused_and_shown(given, said):
    assert refused(TypeError, **given) == said


def test_the_last_value_that_makes_sense_is_taken():
    entry = Every(1, max_missed=1, name=LONGEST, grace=0, jitter=0)

    assert (entry.period, entry.max_missed, entry.name) == (1, 1, LONGEST)
    assert (entry.grace, entry.jitter) == (0, 0)
    assert Every(1, max_missed=1_000_000).max_missed == 1_000_000


@pytest.mark.parametrize(
    ("period", "error", "said"),
    [
        (0.5, CronError, "period must be 1 second or more, got 0.5 (float)"),
        (-1, CronError, "period must not be negative, got -1 (int)"),
        (float("nan"), CronError, "period must be finite, got nan"),
        (float("inf"), CronError, "period must be finite, got inf"),
        ("60", TypeError, f"period {SECONDS} '60' (str)"),
        (True, TypeError, f"period {SECONDS} True (bool)"),
    ],
)
def test_a_wrong_period_is_refused_and_named(period, error, said):
    with pytest.raises(error) as caught:
        Every(period)

    assert str(caught.value) == said


def test_a_wrong_anchor_is_refused_and_named():
    with pytest.raises(CronError) as naive:
        Every(60, anchor=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(TypeError) as other:
        Every(60, anchor=date(2026, 1, 1))

    assert str(naive.value) == (
        "anchor 2026-01-01T00:00:00 has no time zone; write for example datetime(2026, 1, 1,"
        " tzinfo=UTC)"
    )
    assert str(other.value) == (
        "anchor must be a datetime with a time zone, or None, got datetime.date(2026, 1, 1) (date)"
    )


def test_an_expression_is_text():
    with pytest.raises(TypeError) as caught:
        Cron(5)

    assert str(caught.value) == (
        "expression must be a cron expression (str), such as '0 3 * * *', got 5 (int)"
    )


def test_an_expression_is_read_where_it_is_given_and_kept_as_given():
    assert Cron(" @Reboot ").expression == " @Reboot "
    assert Cron("0  3 * * MON").expression == "0  3 * * MON"
    with pytest.raises(CronError, match="61"):
        Cron("61 * * * *")


def test_arguments_are_a_copy_of_those_that_were_given():
    args = {"n": 1}
    entry = Cron("@daily", args=args)
    args["n"] = 2

    assert entry.args == {"n": 1}
    assert Cron("@daily").args == {}


def test_the_options_of_its_jobs_are_those_of_perform_async_without_a_schedule():
    options = dict.fromkeys({*JobOptions.__annotations__} - {"schedule_in", "schedule_at"})

    assert Cron("@daily", **options).options == options


def test_a_timeout_of_its_jobs_is_the_same_in_seconds_or_as_a_duration():
    assert Cron("0 3 * * *", timeout=timedelta(minutes=1)) == Cron("0 3 * * *", timeout=60)
