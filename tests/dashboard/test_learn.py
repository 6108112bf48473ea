"""Lessons of the demo: predicted, done for real, and compared with what the tree and jobs show."""

import re

import pytest
from dashboard.pages import Html
from dashboard.sites import OWN, site
from starlette.testclient import TestClient
from support.programs import run_python

from antq_actors import JobNotFound, Status, otp
from antq_actors.demo.job_lessons import job_lessons
from antq_actors.demo.learn_page import learn_routes
from antq_actors.demo.lessons import Lessons
from antq_actors.demo.shop import ROOT, ChargeCard, PackParcel, SendMail, Shop
from antq_actors.demo.tree_lessons import tree_lessons
from antq_actors.insights import Insights
from antq_actors.web import Access
from antq_actors.web.application import Dashboard
from antq_actors.web.options import Options


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path / "shop", per_second=0)
    with shop.app:
        shop.open()
        yield shop
        shop.close()


@pytest.fixture
def lessons(shop):
    return Lessons([*tree_lessons(shop), *job_lessons(shop)])


def served(shop, lessons, level=Access.CHAOS):
    options = Options(access=lambda _request: level, trees=(ROOT,), chaos=True)
    made = Dashboard(shop.app, options, further=learn_routes(shop, lessons))
    return TestClient(made, base_url="http://localhost", follow_redirects=False)


@pytest.fixture
def client(shop, lessons):
    return served(shop, lessons)


def press(client, lesson, choice):
    """Return the lesson's card after its button was pressed."""
    done = client.post(f"/learn/{lesson}", data={"choice": choice}, headers=OWN)
    assert done.status_code == 303, done.text
    page = Html(client.get(str(done.url.join(done.headers["location"]))).text)
    name, _, step = lesson.partition("/")
    (card,) = [
        each
        for each in page.all("lesson")
        if (each["data-name"], each["data-step"]) == (name, step)
    ]
    assert len(page.all("prediction")) == len(page.all("actual")) == 1
    assert card.one("prediction")["data-agrees"] == card.one("actual")["data-agrees"] == "yes"
    return card


def verdict(card):
    """Return whether the visitor was right, and what came, in the words of the choice."""
    came = card.one("actual").text.removeprefix("Actual").strip().split(".")[0].strip()
    return card.one("prediction")["data-right"], came


def restarts(shop, group):
    trees = Insights(shop.app).tree(trees=[ROOT]).trees
    (found,) = [each for tree in trees for each in tree.walk() if each.id == f"{ROOT}/{group}"]
    return [child.restarts for child in found.children]


def test_the_page_has_each_lesson_with_what_one_may_predict(client, lessons):
    page = Html(client.get("/learn").text)

    assert page.title == "Learn · shop · antq"
    assert page.heading == "Learn"
    assert page.one("nav-learn")["aria-current"] == "page"
    assert page.all("prediction") == page.all("actual") == []
    cards = page.all("lesson")
    assert len(cards) == len(lessons.all) == 6
    for card, lesson in zip(cards, lessons.all, strict=True):
        radios = [each for each in card.tagged("input") if each["type"] == "radio"]
        assert [each["value"] for each in radios] == list(lesson.choices)
        assert card.buttons == [lesson.button]


def test_each_lesson_leads_to_its_page_of_the_documentation(client):
    page = Html(client.get("/learn").text)

    for card in page.all("lesson"):
        answer = client.get(card.tagged("a")[-1]["href"].removeprefix("."))
        assert answer.status_code == 200
        assert answer.text.startswith("# ")
    assert client.get("/learn/docs?page=../pyproject.toml").status_code == 404


@pytest.mark.parametrize(("choice", "right"), [("alone", "yes"), ("all", "no")])
def test_with_one_for_one_one_child_starts_again(client, shop, choice, right):
    card = press(client, "strategies/one_for_one", choice)

    assert verdict(card) == (right, "till-2 alone")
    assert restarts(shop, "tills") == [0, 1, 0]
    assert [each.verb for each in shop.app.audit()] == ["crash"]


@pytest.mark.parametrize(("choice", "right"), [("rest", "yes"), ("alone", "no")])
def test_with_rest_for_one_those_after_it_do_too(client, shop, choice, right):
    card = press(client, "strategies/rest_for_one", choice)

    assert verdict(card) == (right, "stove and waiter")
    assert restarts(shop, "kitchen")[0] == 0
    assert "orders 0, stove 1" in card.text


def test_a_supervisor_gives_up_when_its_restarts_are_used_up(client, shop):
    cards = [press(client, "budget/kill", "gives-up") for _ in range(3)]

    assert [card.one("prediction")["data-right"] for card in cards] == ["no", "no", "yes"]
    assert "Restarts left: 1 of 2." in cards[0].text
    assert "Restarts left: 0 of 2." in cards[1].text
    assert "is restarted" in cards[2].one("actual").text
    assert "Restarts left: 2 of 2." in cards[2].text
    assert restarts(shop, "couriers") == [0]


def test_a_failing_job_waits_longer_each_time_and_then_has_failed(client, shop):
    came = [verdict(press(client, "back-off/fail", "double")) for _ in range(3)]

    twice = "it waits twice as long as before"
    assert came == [("yes", twice), ("yes", twice), ("no", "it has failed for good")]
    (job,) = shop.app.list_jobs(worker=ChargeCard)
    assert (job.status, job.attempts) == (Status.FAILED, 4)


def test_a_paused_queue_lets_the_jobs_through_one_by_one(client, shop):
    came = [verdict(press(client, "stepping/step", "express")) for _ in range(3)]

    oldest = "the plain parcel that waits longest"
    assert came == [("yes", "the express parcel"), ("no", oldest), ("no", oldest)]
    packed = shop.app.list_jobs(worker=PackParcel, status=Status.COMPLETED)
    assert len(packed) == 3
    assert shop.app.queue("parcels").status().paused


def test_jobs_of_a_killed_process_are_given_back_and_run_again(client, shop):
    first = shop.open_ovens()

    card = press(client, "node/kill", "again")

    assert verdict(card)[0] == "yes"
    assert first not in [each.pid for each in shop.app.nodes() if each.alive]
    ids = [int(each) for each in re.findall(r"Job (\d+): completed", card.one("actual").text)]
    assert [shop.app.get_job(id_).interruptions for id_ in ids] == [1, 1]


@pytest.mark.parametrize(
    ("lesson", "fields", "status"),
    [
        ("budget/kill", {"choice": "perhaps"}, 400),
        ("budget/kill", {}, 400),
        ("budget/kill", {"choice": "again", "node": "1"}, 400),
        ("budget/crash", {"choice": "again"}, 404),
        ("traffic/set", {"rate": "51"}, 400),
        ("traffic/set", {"rate": "nan"}, 400),
        ("traffic/set", {"rate": "many"}, 400),
        ("traffic/set", {}, 400),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(client, shop, lesson, fields, status):
    answer = client.post(f"/learn/{lesson}", data=fields, headers=OWN)

    assert answer.status_code == status
    assert restarts(shop, "couriers") == [0]
    assert shop.per_second == 0
    assert shop.app.audit() == []


def test_lessons_take_the_level_chaos_and_the_own_site(shop, lessons):
    for level, headers in ((Access.OPERATE, OWN), (Access.CHAOS, {})):
        client = served(shop, lessons, level)
        data = {"choice": "again"}
        assert client.post("/learn/budget/kill", data=data, headers=headers).status_code == 403
    assert restarts(shop, "couriers") == [0]


def test_the_traffic_enqueues_mails(client, shop):
    done = client.post("/learn/traffic/set", data={"rate": "50"}, headers=OWN)

    assert done.status_code == 303
    assert "now 50" in Html(client.get("/learn").text).text
    shop.app.wait([_first_mail(shop.app)], timeout=30)


def _first_mail(app):
    """Return the id of the first mail, once there is one."""
    for _ in range(3_000):
        found = app.list_jobs(worker=SendMail, limit=1)
        if found:
            return found[0].id
        app.wait_idle(timeout=0.01)
    raise JobNotFound(0)


def test_a_shop_whose_tree_has_ended_is_opened_again(client, shop):
    otp.stop(ROOT)
    assert "The shop is closed" in Html(client.get("/learn").text).text

    assert verdict(press(client, "strategies/one_for_one", "alone"))[0] == "yes"


def test_other_dashboards_have_no_such_page(shop):
    client = site(shop.app, Access.CHAOS, chaos=True)

    assert client.get("/learn").status_code == 404
    assert client.post("/learn/budget/kill", data={"choice": "x"}, headers=OWN).status_code == 404
    assert Html(client.get("/").text).all("nav-learn") == []


def test_nothing_of_it_is_loaded_outside_the_demo():
    program = (
        "import sys, antq_actors.web.server, antq_actors.cli\n"
        "words = ('lesson', 'learn', 'demo.shop')\n"
        "print([name for name in sys.modules if any(each in name for each in words)])"
    )
    assert run_python("-c", program, check=True).stdout.strip() == "[]"
