"""The terminal view, driven by its keys on a real store."""

import signal
import threading

import pytest
from support.apps import settled
from support.terminals import HOSTILE, STORABLE, FailsOnce, Waits

from antq_actors import AntQ, StorageError
from antq_actors.insights import Insights


def test_the_overview_comes_first_and_says_what_needs_attention(shop, watching):
    async def use(terminal):
        await terminal.shows("1 waiting", "1 running in 3 slots", "Queue 'mail' is paused by ada")
        await terminal.press("enter")
        await terminal.shows("Queue mail", "Next, in the order of claims", "job 3 top:FailsOnce")

    watching(shop, use)


def test_the_number_keys_change_the_tab(shop, watching):
    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("all jobs · 3 jobs", "▶ running", "■ failed", "○ enqueued")
        await terminal.press("3")
        await terminal.shows("2 queues", "‖ paused by ada", "●○ 1/2")
        await terminal.press("4")
        await terminal.shows("node 1", "├─ queues one_for_one", "job 1")
        await terminal.press("5")
        await terminal.shows("1 of 1 nodes are up", "● up")
        await terminal.press("1")
        await terminal.shows("What needs attention")

    watching(shop, use)


def test_g_and_a_letter_lead_to_a_tab(shop, watching):
    async def use(terminal):
        for letter, text in {"j": "3 jobs", "q": "2 queues", "t": "node 1", "n": "are up"}.items():
            await terminal.press("g", letter)
            await terminal.shows(text)
        await terminal.press("g", "o")
        await terminal.shows("What needs attention")

    watching(shop, use)


def test_enter_opens_a_job_with_why_it_does_not_run_and_what_happened(shop, watching):
    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("3 jobs")
        await terminal.press("j", "enter")
        await terminal.shows(
            "Job 2 · ■ failed",
            "Why is this job not running?",
            "It has ended, so it runs again only if it is retried: ValueError: no such customer.",
            "attempt 1 · ■ failed · node 1",
            "History",
        )
        await terminal.press("escape")
        await terminal.shows("3 jobs")

    watching(shop, use)


def test_secrets_are_hidden_in_the_list_and_in_the_job(shop, watching):
    async def use(terminal):
        await terminal.press("2")
        assert "hunter2" not in await terminal.shows("password='<redacted>'")
        await terminal.press("down", "down", "enter")
        assert "hunter2" not in await terminal.shows('"password": "<redacted>"')

    watching(shop, use, size=(180, 60))


def test_a_filter_lists_what_it_finds(shop, watching):
    async def use(terminal):
        await terminal.press("slash")
        await terminal.type("status:failed")
        await terminal.press("enter")
        await terminal.shows("status:failed · 1 job", "no such customer", without=["▶ running"])

    watching(shop, use)


def test_what_is_no_filter_is_explained_and_lists_nothing(shop, watching):
    async def use(terminal):
        await terminal.press("slash")
        await terminal.type("colour:red")
        await terminal.press("enter")
        await terminal.shows("colour:red", "unknown key 'colour'", without=["▶ running"])
        await terminal.press("escape")
        await terminal.shows("all jobs · 3 jobs", without=["colour"])

    watching(shop, use)


def test_jobs_on_the_page_change_in_place_and_new_ones_wait_to_be_asked_for(shop, watching):
    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("3 jobs")
        await terminal.press("j", "j")
        for _ in range(2):
            Waits.perform_async(schedule_in=3600)
        shop.cancel_job(3)
        await terminal.shows("2 new, press .", "⊘ cancelled", without=["◷ scheduled"])
        assert terminal.chosen == "1"
        await terminal.press("full_stop")
        await terminal.shows("5 jobs", "◷ scheduled", without=["new, press"])

    watching(shop, use)


def test_pages_of_jobs_are_turned_both_ways(shop, watching):
    for _ in range(60):
        Waits.perform_async(schedule_in=3600)

    async def use(terminal):
        await terminal.press("2")
        await terminal.shows("63 jobs", "]: older ones", without=["[: newer ones"])
        await terminal.press("right_square_bracket")
        await terminal.shows("[: newer ones", "no such customer", without=["]: older"])
        await terminal.press("left_square_bracket")
        await terminal.shows("]: older ones", without=["no such customer"])

    watching(shop, use)


def test_enter_on_a_node_shows_its_tree_and_on_an_actor_what_it_is_at(shop, watching):
    async def use(terminal):
        await terminal.press("5")
        await terminal.shows("are up")
        await terminal.press("enter")
        await terminal.shows("node 1", "antq.storage")
        await terminal.press("enter")
        await terminal.shows("Restarts used", "What supervisors did here")

    watching(shop, use)


def test_the_tree_of_another_process_is_reached_with_brackets(shop, watching, program):
    path = shop.path
    other = program(
        "-c",
        "import sys\n"
        "from antq_actors import AntQ\n"
        f"with AntQ({str(path)!r}, queues={{'reports': 1}}):\n"
        "    print('up', flush=True)\n"
        "    sys.stdin.readline()\n",
    )
    other.lines_until("up")

    async def use(terminal):
        await terminal.press("4")
        await terminal.shows("node 1", "also there: 2")
        await terminal.press("right_square_bracket")
        await terminal.shows("node 2", "antq.queue.reports", "also there: 1")

    watching(shop, use)


def test_hostile_texts_are_shown_as_text(shop, watching):
    failed = FailsOnce.perform_async({"text": HOSTILE, HOSTILE: HOSTILE})
    settled(shop, failed)
    shop.queue("default").pause(by=STORABLE, reason=STORABLE)

    async def use(terminal):
        for key in ("1", "2", "3", "4", "5"):
            await terminal.press(key)
            await terminal.shows("live")
        await terminal.press("2")
        await terminal.shows(r"\x1b[2J")
        await terminal.press("enter")
        text = await terminal.shows(r"\x1b[2J", r"\u202eevil", "[red]")
        assert all(line.isprintable() for line in text.split("\n"))

    watching(shop, use)


def test_in_ascii_nothing_else_is_on_the_screen(shop, watching):
    async def use(terminal):
        for key, text in {"1": "attention", "2": "3 jobs", "3": "2 queues", "4": "|- "}.items():
            await terminal.press(key)
            assert (await terminal.shows(text)).isascii()
        await terminal.press("2", "enter")
        assert (await terminal.shows("Job 3")).isascii()

    watching(shop, use, ascii_only=True, size=(90, 20))


def test_the_keys_are_listed_at_a_question_mark(shop, watching):
    async def use(terminal):
        await terminal.press("question_mark")
        await terminal.shows("change the tab", "filter jobs, such as")
        await terminal.press("escape")
        await terminal.shows("What needs attention")

    watching(shop, use)


def test_a_store_that_cannot_be_read_is_said_and_read_again(shop, watching, monkeypatch):
    is_away = threading.Event()
    read = Insights.overview

    def overview(insights):
        if is_away.is_set():
            raise StorageError("the disk is full\x1b[2J")
        return read(insights)

    monkeypatch.setattr(Insights, "overview", overview)

    async def use(terminal):
        await terminal.shows("● live", "1 waiting")
        is_away.set()
        await terminal.shows("not read since", r"the disk is full\x1b[2J", "1 waiting")
        is_away.clear()
        await terminal.shows("● live", without=["not read since"])

    watching(shop, use)


def test_one_question_is_under_way_at_a_time(shop, watching, monkeypatch):
    asked, answered = threading.Semaphore(0), threading.Semaphore(0)
    lock, most, under_way = threading.Lock(), [], [0]
    read = Insights.overview

    def overview(insights):
        with lock:
            under_way[0] += 1
            most.append(under_way[0])
        asked.release()
        assert answered.acquire(timeout=60)
        found = read(insights)
        with lock:
            under_way[0] -= 1
        return found

    monkeypatch.setattr(Insights, "overview", overview)

    async def use(terminal):
        for _ in range(3):
            await terminal.until(lambda: asked.acquire(blocking=False))
            await terminal.press("j", "k")  # keys are answered in the meantime
            answered.release()
            await terminal.shows("waiting")
        for _ in range(100):
            answered.release()

    watching(shop, use)

    assert set(most) == {1}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_ends_it(shop, watching, name):
    async def use(terminal):
        await terminal.shows("live")
        signal.raise_signal(getattr(signal, name))
        await terminal.ends()

    assert watching(shop, use).return_code == 0


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_a_key_ends_it(shop, watching, key):
    async def use(terminal):
        await terminal.shows("live")
        await terminal.press(key)
        await terminal.ends()

    assert watching(shop, use).return_code == 0


def test_a_store_that_no_process_runs_is_shown_as_well(tmp_path, watching):
    with AntQ(tmp_path / "jobs", start_queues=False) as app:
        app.enqueue(Waits, queue="mail")

        async def use(terminal):
            await terminal.shows("No process runs queue 'mail'")
            await terminal.press("4")
            await terminal.shows("this process, which runs no queues")

        watching(app, use)
