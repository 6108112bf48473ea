"""The main job as users start it: processes of its own, killed in the middle."""

import os
import re
import signal
import subprocess
import sys
import time
from http.cookiejar import CookieJar
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from antq_actors import AntQ
from antq_actors.demo.summary import WriteSummary

ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1"}


def a_demo(*arguments):
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "antq_actors", "demo", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
    )


def finish(process, seconds=60):
    try:
        out, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
        process.wait()
    return process.returncode, out


def demo(*arguments):
    return finish(a_demo(*arguments))


def counted(out, status):
    found = re.search(rf"^  .*?([\d,]+) {status}", out.partition("Done in")[2], re.MULTILINE)
    return int(found[1].replace(",", "")) if found else 0


def wait_until(condition, process, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def stored(path):
    with AntQ(path, start_queues=False) as app:
        return app.list_workers()


def completed(path):
    """Return how many jobs have completed in the store of another process."""
    if not (path / "data.mdb").exists():
        return 0
    with AntQ(path, start_queues=False) as app:
        return app.count_workers(status="completed")


@pytest.fixture(scope="module")
def a_run():
    return demo("--leads", 200, "--concurrency", 100, "--retry-delay", 0.1)


def test_every_lead_ends_completed_or_failed(a_run):
    code, out = a_run

    assert code == 0, out
    assert counted(out, "completed") + counted(out, "failed") == 200
    assert counted(out, "failed") > 0


def test_the_report_shows_a_job_completed_after_a_retry_and_a_failed_one(a_run):
    _, out = a_run

    after_retry, failed = out.split("One failed job")
    assert re.search(r"status +completed", after_retry)
    assert re.search(r"attempts +[23] of 3", after_retry)
    assert "attempt 1, " in after_retry
    assert "Failed to send email to" in after_retry
    assert re.search(r"status +failed", failed)
    assert "attempt 3, " in failed


def test_the_report_compares_first_attempts_with_the_ideal(a_run):
    _, out = a_run

    assert "First attempts: 200," in out
    assert "200 x 0.2 s / 100: 0.40 s" in out


def test_fewer_leads_than_slots_are_not_compared_with_an_ideal_out_of_reach():
    _, out = demo("--leads", "1")

    assert "fewer leads than slots" in out
    assert "it took" not in out


def test_without_a_terminal_there_are_plain_lines(a_run):
    _, out = a_run

    assert "\x1b" not in out
    assert re.search(r"^ +\d+\.\d s  .*completed \d+", out, re.MULTILINE)


def test_a_run_can_be_repeated_exactly(a_run):
    _, out = demo("--leads", 200, "--concurrency", 100, "--retry-delay", 0.1)

    assert [counted(out, status) for status in ("completed", "failed")] == [
        counted(a_run[1], status) for status in ("completed", "failed")
    ]


def test_lines_of_a_given_file_that_are_no_email_address_are_reported_and_skipped(tmp_path):
    file = tmp_path / "marketing.txt"
    file.write_text("jane@example.com\nJane Doe\njohn@example.com\n\n")

    code, out = demo("--file", file, "--retry-delay", 0.1, "--path", tmp_path / "store")

    assert code == 0, out
    assert f"{file}:2: " in out
    assert "'Jane Doe'" in out
    assert f"{file}:4: " in out
    assert "2 lines skipped" in out
    assert [job.args["line"] for job in stored(tmp_path / "store")] == [1, 3]


def test_an_empty_file_is_a_campaign_of_no_jobs(tmp_path):
    file = tmp_path / "empty.txt"
    file.touch()

    code, out = demo("--file", file)

    assert code == 0, out
    assert "0 jobs" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--file", "nowhere.txt"],
        ["--file", os.devnull, "--leads", "5"],
        ["--leads", "0"],
        ["--concurrency", "0"],
        ["--retry-delay", "-1"],
    ],
    ids=" ".join,
)
def test_wrong_options_are_one_line_and_exit_code_2(arguments):
    code, out = demo(*arguments)

    assert code == 2
    assert out.startswith("antq: ")
    assert out.count("\n") == 1


def test_killed_in_the_middle_and_run_again_every_lead_ends_and_none_twice(tmp_path):
    path = tmp_path / "store"
    options = ["--leads", 600, "--concurrency", 60, "--retry-delay", 0.1, "--path", path]
    for reached in (50, 250):
        process = a_demo(*options)
        wait_until(lambda reached=reached: completed(path) >= reached, process)
        os.kill(process.pid, signal.SIGKILL)
        finish(process)
    assert completed(path) < 540, "it was killed too late to show anything"

    code, out = demo(*options)

    assert code == 0, out
    assert "600 jobs, 600 of them stored by an earlier run" in out
    jobs = stored(path)
    assert [job.args["line"] for job in jobs] == list(range(1, 601))
    assert {job.status for job in jobs} == {"completed", "failed"}
    assert sum(job.interruptions for job in jobs) > 0


def test_killed_in_the_middle_and_run_again_the_summary_comes_once_and_has_every_lead(tmp_path):
    path = tmp_path / "store"
    options = ["--leads", 300, "--concurrency", 60, "--retry-delay", 0.1, "--path", path]
    process = a_demo(*options, "--summary")
    wait_until(lambda: completed(path) >= 50, process)
    os.kill(process.pid, signal.SIGKILL)
    finish(process)

    code, out = demo(*options, "--summary")

    assert code == 0, out
    assert "300 jobs" in out
    assert re.search(
        r"Summary by job \d+, [\d.]+ ms after the end of the last lead:\n  300 leads", out
    )
    assert (path / "summary.txt").read_text().startswith("300 leads\n")
    with AntQ(path, start_queues=False) as app:
        assert app.count_jobs(worker=WriteSummary, status="completed") == 1
    code, out = demo(*options)
    assert code == 1
    assert "stored with --summary" in out


@pytest.mark.parametrize(
    "signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
)
def test_stopped_by_a_signal_it_says_how_to_go_on_and_gives_back_what_runs(tmp_path, signal_number):
    path = tmp_path / "store"
    process = a_demo("--leads", 500, "--concurrency", 20, "--path", path)
    wait_until(lambda: completed(path) >= 20, process)

    os.kill(process.pid, signal_number)
    code, out = finish(process)

    assert code == 130, out
    assert "same --path" in out
    jobs = stored(path)
    assert "running" not in {job.status for job in jobs}
    assert sum(job.interruptions for job in jobs) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_shop_in_the_browser_prints_its_url_and_leaves_nothing_behind(tmp_path, number):
    program = subprocess.Popen(
        [sys.executable, "-m", "antq_actors", "demo", "--web", "--web-address", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**ENVIRONMENT, "TMPDIR": str(tmp_path)},
    )
    url = program.stdout.readline().split()[-1]

    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    with browser.open(url) as page:  # which sends on to the page, with a cookie
        assert page.status == 200
    assert [each.name.startswith("antq-demo-") for each in tmp_path.iterdir()] == [True]

    program.send_signal(number)
    assert finish(program)[0] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--web", "--web-address", "8420"], "HOST:PORT"),
        (["--web", "--web-address", "localhost:99999"], "HOST:PORT"),
        (["--web", "--web-address", "0.0.0.0:0"], "loopback"),
        (["--web-address", "127.0.0.1:0"], "--web"),
        (["--web", "--leads", "5"], "--leads"),
        (["--web", "--summary"], "--summary"),
    ],
)
def test_a_shop_in_the_browser_takes_an_address_and_nothing_of_the_promotion(arguments, said):
    code, out = demo(*arguments)

    assert code == 2
    assert said in out
