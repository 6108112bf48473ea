"""The dashboard in a site of Django, over WSGI and over ASGI."""

import asyncio
import re
from urllib.parse import urljoin

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path
from support.django_sites import set_up, settings_of

from antq_actors import AntQ
from antq_actors.integrations.django.compat import task_backends
from antq_actors.web import Access, Visitor

urlpatterns = [path("ops/antq/", include("antq_actors.web.django.urls"))]
"""Of the site: this file is its ROOT_URLCONF."""

OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module", autouse=True)
def _site(tmp_path_factory):
    with set_up(tmp_path_factory):
        call_command("migrate", run_syncdb=True, verbosity=0)
        yield


@pytest.fixture
def app(tmp_path):
    with override_settings(
        TASKS=settings_of(tmp_path / "jobs"),
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
    ):
        yield task_backends["default"].app


@pytest.fixture
def user():
    """A function that returns a new user."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - once Django is set up

    made = []

    def make(**fields):
        made.append(User.objects.create(username=f"user {len(made)}", **fields))
        return made[-1]

    yield make
    for each in made:
        each.delete()


FORM = "application/x-www-form-urlencoded"
PAUSE = {"path": "/ops/antq/queue/pause?name=mail", "data": "reason=x", "content_type": FORM}


def client_of(user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def say_operate(request):
    return Visitor(Access.OPERATE, request.headers["x-user"])


def say_nothing(_request):
    raise KeyError("no such user")


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({}, None),
        ({"is_staff": True, "is_active": False}, None),
        ({"is_superuser": True}, None),
        ({"is_staff": True}, "read"),
        ({"is_staff": True, "is_superuser": True}, "operate"),
    ],
    ids=str,
)
def test_staff_may_look_and_superusers_may_change(app, user, fields, level):
    client = client_of(user(**fields))

    page = client.get("/ops/antq/")
    pause = client.post(**PAUSE, headers=OWN)

    if level is None:
        assert (page.status_code, pause.status_code) == (403, 403)
    else:
        assert f'data-access="{level}"' in page.text
        assert pause.status_code == (303 if level == "operate" else 403)
    assert [each.name for each in app.audit()] == ["user 0"] * (level == "operate")


def test_someone_who_is_not_logged_in_sees_nothing(app):
    assert Client().get("/ops/antq/").status_code == 403


def test_links_are_below_the_place_of_the_site(app, user):
    client = client_of(user(is_staff=True))

    for place in ("/ops/antq/", "/ops/antq/jobs", "/ops/antq/queue?name=mail"):
        page = client.get(place)
        assert page.status_code == 200
        for link in re.findall(r'(?:href|src|action)="([^"#]+)"', page.text):
            assert urljoin(place, link).startswith("/ops/antq/"), link
    sheet = re.search(r'href="([^"]+\.css)"', client.get("/ops/antq/").text)[1]
    assert client.get(urljoin("/ops/antq/", sheet)).headers["content-type"].startswith("text/css")
    assert client.get("/ops/antq").headers["location"] == "/ops/antq/"


def test_settings_are_cookies_of_the_place(app, user):
    answer = client_of(user(is_staff=True)).post(
        "/ops/antq/settings", "theme=dark&zone=utc", content_type=FORM, headers=OWN
    )

    assert answer.status_code == 303
    assert {each["path"] for each in answer.cookies.values()} == {"/ops/antq/"}


def test_form_of_another_site_is_refused_without_a_token_of_django(app, user):
    client = client_of(user(is_staff=True, is_superuser=True))

    for headers in ({}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        refused = client.post(**PAUSE, headers=headers)
        assert refused.status_code == 403

    assert app.audit() == []


@override_settings(ANTQ_DASHBOARD_ACCESS=f"{__name__}:say_operate")
def test_function_of_the_setting_says_who_may_do_what(app):
    answer = Client().post(**PAUSE, headers={**OWN, "x-user": "ada"})

    assert answer.status_code == 303
    assert [each.name for each in app.audit()] == ["ada"]


@override_settings(ANTQ_DASHBOARD_ACCESS=f"{__name__}:say_nothing")
def test_function_that_raises_lets_nobody_in(app, caplog):
    assert Client().get("/ops/antq/").status_code == 403
    assert "ANTQ_DASHBOARD_ACCESS raised" in caplog.text


@pytest.mark.parametrize("named", [f"{__name__}.who", f"{__name__}:nothing", "no:way", 5])
def test_setting_that_names_no_function_is_said_so(app, named):
    with (
        override_settings(ANTQ_DASHBOARD_ACCESS=named),
        pytest.raises(ImproperlyConfigured, match="ANTQ_DASHBOARD_ACCESS"),
    ):
        Client().get("/ops/antq/")


@override_settings(ALLOWED_HOSTS=["shop.example"])
def test_host_that_is_not_of_the_site_is_refused(app, user):
    client = client_of(user(is_staff=True))

    assert client.get("/ops/antq/", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/ops/antq/", headers={"host": "shop.example"}).status_code == 200


def test_pages_over_wsgi_ask_for_changes(app, user):
    client = client_of(user(is_staff=True))

    assert 'data-live="poll"' in client.get("/ops/antq/").text
    assert client.get("/ops/antq/live").status_code == 503


def test_pages_over_asgi_are_told_of_changes(app, user):
    reader = user(is_staff=True, is_superuser=True)

    async def look():
        client = AsyncClient()
        await client.aforce_login(reader)
        page = await client.get("/ops/antq/")
        paused = await client.post(**PAUSE, headers=OWN)
        stream = await client.get("/ops/antq/live")
        events = stream.streaming_content
        first = await asyncio.wait_for(anext(events), 20)
        await events.aclose()
        return page, paused, stream, first

    page, paused, stream, first = asyncio.run(look())

    assert 'data-live="stream"' in page.text
    assert paused.status_code == 303
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert first.startswith(b"event: counts")


def test_site_without_a_backend_of_antq_is_said_so(app, user):
    client = client_of(user(is_staff=True))
    with (
        override_settings(TASKS={}),
        pytest.raises(ImproperlyConfigured, match="TASKS names no backend"),
    ):
        client.get("/ops/antq/")


def test_dashboard_follows_the_application_of_the_settings(app, user, tmp_path):
    client = client_of(user(is_staff=True))
    assert "<title>Overview · jobs · antq</title>" in client.get("/ops/antq/").text

    with override_settings(TASKS=settings_of(tmp_path / "others")):
        assert "<title>Overview · others · antq</title>" in client.get("/ops/antq/").text
    assert isinstance(app, AntQ)
