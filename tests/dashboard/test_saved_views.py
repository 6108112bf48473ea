"""Saved views: a visitor's own, in a cookie of theirs, and those of a team, from a file."""

import json
import re
from base64 import urlsafe_b64encode
from html import unescape
from http.cookies import SimpleCookie

import pytest
from dashboard.sites import OWN, site

from antq_actors import AntQ
from antq_actors.web import Access, dashboard
from antq_actors.web.saved_views import (
    MOST_BYTES,
    MOST_OWN,
    SavedView,
    check_view,
    cookie_of,
    read_views,
    team_views,
    views_in,
    with_view,
)

FAILED = {"next": "jobs", "q": "status:failed", "order": "oldest", "limit": "100"}
ODD_NAMES = (
    "<script>document.title='taken'</script>",
    '" autofocus onfocus="x" x="',
    "invoice\u202egpj.exe",
    "\U0001f600 طلب ٤٢ Z͑͐",
    "{{ 7*7 }}&lt;b&gt;",
    "a;b,c=d",
)


@pytest.fixture
def app(tmp_path):
    with AntQ(path=tmp_path / "jobs", queues={"mail": 1}).start(queues=False) as app:
        yield app


def save(client, name, prefix="", **fields):
    return client.post(f"{prefix}/settings", data={**FAILED, "view": name, **fields}, headers=OWN)


def views_of(page):
    """Return the views that a page of jobs shows: names and where they lead, in order."""
    found = re.findall(
        r'data-testid="saved-view"><a href="([^"]*)"[^>]*><bdi dir="auto">(.*?)</bdi>', page.text
    )
    return [(unescape(name), unescape(href)) for href, name in found]


@pytest.mark.parametrize("prefix", ["", "/a/b"])
def test_a_saved_view_is_a_link_in_the_rail_and_above_the_jobs(app, prefix):
    client = site(app, Access.READ, prefix=prefix)

    answer = save(client, "  Failed\tmail ", prefix)

    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "./jobs?q=status%3Afailed&order=oldest&limit=100",
    )
    page = client.get(f"{prefix}/jobs")
    assert views_of(page) == [("Failed mail", "./jobs?q=status%3Afailed&order=oldest&limit=100")]
    assert 'data-testid="nav-view" title="Failed mail"' in client.get(f"{prefix}/queues").text
    current = client.get(f"{prefix}/jobs", params={"q": "status:failed", **FAILED}).text
    assert 'aria-current="true"><bdi dir="auto">Failed mail' in current


def test_its_cookie_is_for_the_mount_alone_and_not_for_scripts(app):
    answer = save(site(app, prefix="/a/b"), "Failed", "/a/b")

    cookie = SimpleCookie(answer.headers["set-cookie"])["antq_views"]

    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/a/b/", "lax", True)
    assert not cookie["secure"]


def test_a_view_is_removed_by_its_name_and_the_last_takes_the_cookie_with_it(app):
    client = site(app)
    save(client, "one")
    save(client, "two", q="queue:mail")

    answer = client.post("/settings", data={**FAILED, "forget": "one"}, headers=OWN)

    assert answer.headers["location"].startswith("./jobs?q=status%3Afailed")
    assert [name for name, _ in views_of(client.get("/jobs"))] == ["two"]
    client.post("/settings", data={"forget": "two"}, headers=OWN)
    assert "antq_views" not in client.cookies


def test_saving_under_a_name_that_is_there_replaces_the_view_in_its_place(app):
    client = site(app)
    for name in ("one", "two"):
        save(client, name)

    save(client, "one", q="queue:mail", order="newest", limit="50")

    assert views_of(client.get("/jobs"))[0] == ("one", "./jobs?q=queue%3Amail")
    assert len(views_of(client.get("/jobs"))) == 2


def test_odd_names_and_filters_are_text(app):
    client = site(app)
    for name in ODD_NAMES:
        assert save(client, name, q='arg.a:"<b>\u202e\\"x"').status_code == 303

    page = client.get("/jobs")

    assert tuple(name for name, _ in views_of(page)) == ODD_NAMES
    assert "<script>document" not in page.text
    for _, href in views_of(page):
        assert client.get(href.removeprefix(".")).status_code == 200


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"view": ""}, "1 to 60 characters, got 0"),
        ({"view": " \u3000"}, "1 to 60 characters, got 0"),
        ({"view": "x" * 61}, "1 to 60 characters, got 61"),
        ({"view": "a\x00b"}, "no control characters"),
        ({"view": "\u200b\u202e"}, "something to read in it"),
        ({"q": "stauts:failed"}, "did you mean"),
        ({"q": "id:" + "1," * 2_000 + "1"}, "4,000 characters"),
        ({"order": "random"}, "newest, oldest"),
        ({"limit": "7"}, "50, 100, 200"),
        ({"limit": ["50", "100"]}, "limit is given 2 times"),
    ],
)
def test_what_is_no_view_is_refused_and_changes_nothing(app, fields, sentence):
    client = site(app)

    answer = client.post("/settings", data={**FAILED, "view": "x", **fields}, headers=OWN)

    assert answer.status_code == 400
    assert sentence in unescape(answer.text)
    assert "set-cookie" not in answer.headers


def test_a_page_of_another_site_saves_no_view(app):
    client = site(app)

    answer = client.post("/settings", data={"view": "x"}, headers={"origin": "http://evil.example"})

    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_a_get_of_a_page_with_the_same_fields_saves_nothing(app):
    client = site(app)

    answer = client.get("/jobs", params={"view": "x", "forget": "x"})

    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    assert client.get("/settings").status_code == 405


def test_a_browser_keeps_so_many_views_and_bytes_and_says_so(app):
    client = site(app)
    for number in range(MOST_OWN):
        save(client, f"view {number}")

    too_many = save(client, "one more")
    replaced = save(client, "view 3", q="queue:mail")
    too_large = save(client, "view 4", q="error:" + "x" * 3_000)

    assert (too_many.status_code, replaced.status_code, too_large.status_code) == (400, 303, 400)
    assert f"keeps {MOST_OWN} views" in too_many.text
    assert f"keeps {MOST_BYTES:,} bytes" in too_large.text
    assert len(views_of(client.get("/jobs"))) == MOST_OWN


@pytest.mark.parametrize(
    "listed",
    [
        [["x", "status:failed", "newest", 51]],
        [["x", "status:failed", "sideways", 50]],
        [["x", None, "newest", 50]],
        [["x", "\ud800", "newest", 50]],
        [["x"]],
        {"x": 1},
        5,
        None,
        "x",
    ],
)
def test_a_cookie_that_is_not_ours_has_no_views(app, listed):
    cookie = urlsafe_b64encode(json.dumps(listed).encode()).decode().rstrip("=")
    client = site(app)
    client.cookies.set("antq_views", cookie)

    assert views_in(cookie) == ()
    assert client.get("/jobs").status_code == 200


@pytest.mark.parametrize("cookie", ["", "%%%", "x", "!" * 5_000, "W1tb", "é"])
def test_a_cookie_that_is_no_json_has_no_views(cookie):
    assert views_in(cookie) == ()


def test_the_largest_cookie_is_kept_as_it_is():
    views = ()
    for number in range(MOST_OWN):
        new = check_view(f"{number} " + "é" * 20, f"queue:{'m' * 50}", "oldest", 200)
        views = with_view(views, new)

    assert views_in(cookie_of(views)) == views
    assert all(each.is_own for each in views_in(cookie_of(views)))


# ---- of a team -----------------------------------------------------------------------------------


TEAM = """
"Failed mail" = "status:failed queue:mail"
"Oldest <b>" = {filter = "", order = "oldest", limit = 200}
"""


def test_the_views_of_a_file_are_shown_to_all_and_cannot_be_removed(app, tmp_path):
    file = tmp_path / "views.toml"
    file.write_text(TEAM, encoding="utf-8")
    client = site(app, views=file)
    save(client, "mine")

    page = client.get("/jobs")

    assert views_of(page) == [
        ("Failed mail", "./jobs?q=status%3Afailed+queue%3Amail"),
        ("Oldest <b>", "./jobs?order=oldest&limit=200"),
        ("mine", "./jobs?q=status%3Afailed&order=oldest&limit=100"),
    ]
    assert re.findall(r'aria-label="Remove view ([^"]*)"', page.text) == ["mine"]


def test_a_mapping_has_the_views_of_a_file(tmp_path):
    file = tmp_path / "views.toml"
    file.write_text(TEAM, encoding="utf-8")
    oldest = {"filter": "", "order": "oldest", "limit": 200}

    views = team_views({"Failed mail": "status:failed queue:mail", "Oldest <b>": oldest})

    assert views == read_views(file) == team_views(str(file))
    assert views[1] == SavedView("Oldest <b>", "", "oldest", 200)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = 'status:failed'\nb = \nc = ''", "line 2"),
        ("a = 1\na = 2\n", "line 2"),
        ("", "no views; write lines such as"),
        ("Failed = 'stauts:failed'", "view 'Failed': unknown key 'stauts'; did you mean 'status'"),
        ("Failed = 7", "view 'Failed': it must be a filter"),
        ("Failed = {filtre = 'status:failed'}", "did you mean 'filter'"),
        ("Failed = {order = 'oldest'}", "filter is missing"),
        ("Failed = {filter = ''\n, limit = 50}", "line 1"),
        ("Failed = {filter = 5}", "filter must be text"),
        ("Failed = {filter = '', limit = 60}", "limit must be one of 50, 100, 200, got 60"),
        ("Failed = {filter = '', limit = 50.0}", "limit must be one of"),
        ("Failed = {filter = '', limit = true}", "limit must be one of"),
        ("Failed = {filter = '', order = 1}", "order must be one of"),
        ("'' = ''", "1 to 60 characters"),
        ("'a b' = ''\n'a  b' = ''", "is there twice"),
        ("\n".join(f"'{n}' = ''" for n in range(51)), "may have 50 views, got 51"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path, text, sentence):
    file = tmp_path / "views.toml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=re.escape(sentence)) as raised:
        read_views(file)

    assert str(file) in str(raised.value)


def test_a_file_that_cannot_be_read_says_which(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe9'")

    for name in ("missing.toml", "latin.toml", "."):
        with pytest.raises(ValueError, match="cannot be read"):
            read_views(tmp_path / name)


@pytest.mark.parametrize(
    ("views", "error"),
    [
        (["status:failed"], TypeError),
        (5, TypeError),
        ({5: "status:failed"}, TypeError),
        ({"a": "nonsense"}, ValueError),
        ({"a\ud800": ""}, ValueError),
        ({"a": "queue:\ud800"}, ValueError),
    ],
)
def test_an_option_that_has_no_views_is_refused_by_its_name(app, views, error):
    with pytest.raises(error, match="views"):
        dashboard(app, views=views)
