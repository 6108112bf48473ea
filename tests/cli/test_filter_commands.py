"""``antq list --filter`` and ``antq errors``: what they find, hide and refuse."""

import json

import pytest
from support.apps import until

from antq_actors import AntQ, Fail, worker

ARGS = {"user": {"id": 42, "apiToken": "s3cret"}}


@worker(name="filtered:Send", max_attempts=1)
def send(n):
    if n == 1:
        raise KeyError("size")
    return Fail(f"refused by {n}") if n > 1 else None


@worker(name="filtered:Keep")
def keep(user):
    """Wait."""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "jobs"
    with AntQ(path, queues={"default": 1, "kept": 1}) as app:
        app.queue("kept").pause()
        app.enqueue_many(send, [{"n": n} for n in (0, 1, 2, 3)])
        app.enqueue(keep, ARGS, queue="kept", meta={"session_cookie": "s3cret"})
        until(lambda: app.count_jobs(status=["failed", "completed"]) == 4)
    return path


def listed(out):
    return [job["id"] for job in json.loads(out)["items"]]


def test_a_filter_lists_what_it_lets_pass_oldest_first_in_a_pipe(antq):
    code, out, err = antq("list", "--filter", "status:failed -error:KeyError")

    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["3", "4"]


def test_with_json_it_is_a_page_as_the_api_answers_it(antq):
    _, out, _ = antq("list", "--filter", "worker:Send", "--newest", "--limit", 2, "--json")

    page = json.loads(out)
    assert listed(out) == [4, 3]
    assert {key: page[key] for key in page if key != "items"} == {
        "next": 3,
        "previous": None,
        "count": 4,
        "exact": True,
        "searched": 5,
        "complete": True,
    }
    assert page["items"][0]["actions"]["retry"] is True


def test_it_says_how_many_there_are_and_how_to_go_on(antq):
    _, _, err = antq("list", "--filter", "worker:Send", "--newest", "--limit", 2)
    assert err == "4 match. To go on: --newest --before 3\n"
    _, out, err = antq("list", "--filter", "worker:Send", "--newest", "--before", 3, "--json")
    assert (listed(out), err) == ([2, 1], "")

    _, _, err = antq("list", "--filter", "worker:Send", "--limit", 3)
    assert err == "4 match. To go on: --oldest --after 3\n"
    _, out, _ = antq("list", "--filter", "worker:Send", "--oldest", "--after", 3, "--json")
    assert listed(out) == [4]

    assert antq("list", "--filter", "queue:none") == (0, "", "No jobs match.\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("list", "--filter", "colour:red"), "unknown key 'colour'; the keys are status"),
        (("errors", "--filter", "Timeout"), "'Timeout' has no key; write key:value"),
        (("list", "--filter", "id:1", "--status", "failed"), "give either --filter or --status"),
        (("list", "--filter", "id:1", "--arg", "n=1"), "give either --filter or --arg"),
        (("list", "--filter", "id:1", "--limit", 0), "with --filter it is at least 1"),
    ],
)
def test_wrong_usage_is_refused_with_the_sentence(antq, options, message):
    code, out, err = antq(*options)

    assert (code, out) == (2, "")
    assert message in " ".join(err.replace("│", " ").split())


@pytest.mark.parametrize("filters", [(), ("--filter", "queue:kept"), ("--queue", "kept")])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_secrets_are_shown_by_no_list(antq, filters, form):
    _, out, _ = antq("list", *filters, *form)

    assert "s3cret" not in out
    assert "<redacted>" in out
    assert "42" in out


def test_errors_are_shown_in_groups(antq):
    code, out, err = antq("errors")

    assert (code, err) == (0, "")
    title, *lines = out.splitlines()
    assert title.split() == ["count", "last", "error", "in", "workers", "fingerprint"]
    assert len(lines) == 2
    (refused,) = [line for line in lines if "refused by" in line]
    (lost,) = [line for line in lines if "KeyError: 'size'" in line]
    assert (refused.split()[0], lost.split()[0]) == ("2", "1")
    assert " in send" in lost


def test_errors_with_json_are_what_the_api_answers(antq):
    _, out, _ = antq("errors", "--filter", "error:size", "--json")

    (group,) = json.loads(out)["items"]
    assert group["error_type"] == "KeyError"
    assert (group["count"], group["workers"], group["known"]) == (1, ["filtered:Send"], None)
    assert list(group) == [
        *("fingerprint", "error_type", "text", "frames", "first", "last", "count"),
        *("workers", "versions", "hours", "known"),
    ]


def test_a_store_without_failures_says_so(antq):
    assert antq("errors", "--filter", "queue:kept") == (0, "No job has failed.\n", "")


def test_a_path_without_a_store_is_refused_and_none_is_made(antq, tmp_path):
    missing = tmp_path / "missing"

    code, out, err = antq("errors", path=missing)
    assert (code, out) == (1, "")
    assert f"there is no store at {missing}" in "".join(err.split("\n"))
    assert antq("list", "--filter", "", path=missing)[:2] == (2, "")
    assert not missing.exists()
