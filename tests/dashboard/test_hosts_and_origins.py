"""Which hosts and origins are this site's, and the headers of every answer, as values."""

import pytest

from antq_actors.web.guard import (
    POLICY,
    host_name,
    is_ip_address,
    is_own_host,
    is_same_origin,
    security_headers,
)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("jobs.lan", "jobs.lan"),
        ("Jobs.LAN:8420", "jobs.lan"),
        ("jobs.lan.", "jobs.lan"),
        ("jobs.lan.:80", "jobs.lan"),
        ("jobs.lan:", "jobs.lan"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::FFFF:127.0.0.1]:65535", "[::ffff:127.0.0.1]"),
    ],
)
def test_name_of_a_host_is_in_small_letters_without_port_and_last_dot(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize(
    "host",
    ["", ":80", "a b", "a/b", "u@a", "a:80:80", "a:123456", "a:b", "[::1", "::1", "[::1]a", "[x]"],
)
def test_what_is_no_host_has_no_name(host):
    assert host_name(host) is None


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "LOCALHOST:8420",
            "a.localhost",
            "a.b.localhost:1",
            "127.0.0.1",
            "10.0.0.7:80",
        ),
        *("[::1]", "[2001:db8::1]:8420", "jobs.lan", "JOBS.lan:80", "Other.lan", "other.lan."),
    ],
)
def test_own_hosts_are_addresses_this_machine_and_the_names_given(host):
    assert is_own_host(host, ["jobs.lan", "OTHER.lan"])


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", "evil.example", "jobs.lan.evil.example", "evil.jobs.lan", "localhost.evil"),
        *("notlocalhost", "127.0.0.1.evil.example", "[jobs.lan]", "[127.0.0.1]", "1.2.3", "0x7f.1"),
        *("127.0.0.1@evil.example", "a b", "[::1", "xx.localhostx"),
    ],
)
def test_other_hosts_are_not_this_sites(host):
    assert not is_own_host(host, ["jobs.lan"])
    assert not is_own_host(host, [])


@pytest.mark.parametrize("name", ["127.0.0.1", "255.255.255.255", "[::]", "[fe80::1]"])
def test_addresses_are_told_from_names(name):
    assert is_ip_address(name) is True


@pytest.mark.parametrize("name", ["::1", "[127.0.0.1]", "256.0.0.1", "a", "[", "[]", "", "1"])
def test_what_is_no_address_of_a_host_is_a_name(name):
    assert is_ip_address(name) is False


@pytest.mark.parametrize("site", ["same-site", "cross-site", "none", "", "Same-Origin", "null"])
def test_a_browser_that_names_another_site_is_believed_whatever_the_origin(site):
    origin = {"origin": "http://jobs.lan", "host": "jobs.lan"}

    assert not is_same_origin({"sec-fetch-site": site, **origin})
    assert is_same_origin({"sec-fetch-site": "same-origin"})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://jobs.lan", "jobs.lan"),
        ("https://jobs.lan", "JOBS.lan"),
        ("HTTP://Jobs.lan", "jobs.lan:80"),
        ("http://jobs.lan:80", "jobs.lan"),
        ("HTTPS://jobs.lan", "jobs.lan:443"),
        ("https://jobs.lan:443", "jobs.lan"),
        ("http://jobs.lan:8420", "jobs.lan:8420"),
        ("http://[::1]:8420", "[::1]:8420"),
        ("app://jobs.lan", "jobs.lan"),
    ],
)
def test_origin_of_the_host_that_was_asked_is_the_same(origin, host):
    assert is_same_origin({"origin": origin, "host": host})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "jobs.lan"),
        ("http://evil.example://jobs.lan", "jobs.lan"),
        ("http://jobs.lan.evil.example", "jobs.lan"),
        ("http://jobs.lan:8421", "jobs.lan:8420"),
        ("http://jobs.lan:443", "jobs.lan"),
        ("https://jobs.lan:80", "jobs.lan"),
        ("app://jobs.lan:80", "jobs.lan"),
        ("null", "null"),
        ("jobs.lan", "jobs.lan"),
        ("jobs.lan", ""),
        ("", ""),
        ("", "jobs.lan"),
        ("http://", ""),
        ("http://jobs.lan/", "jobs.lan"),
        ("http://a@jobs.lan", "jobs.lan"),
    ],
)
def test_any_other_origin_is_another_site(origin, host):
    assert not is_same_origin({"origin": origin, "host": host})


@pytest.mark.parametrize(
    "headers", [{}, {"host": "a"}, {"origin": "http://a"}, {"origin": "http://"}]
)
def test_a_request_that_says_too_little_is_of_another_site(headers):
    assert not is_same_origin(headers)


def test_headers_forbid_frames_guesses_caches_and_foreign_scripts():
    assert security_headers([], None) == {
        "content-security-policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
            " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cache-control": "no-store",
        "x-frame-options": "DENY",
    }


def test_origins_that_may_frame_a_page_are_in_the_policy_alone():
    headers = security_headers(["'self'", "https://a.example"], None)

    assert headers["content-security-policy"] == POLICY.format("'self' https://a.example")
    assert "x-frame-options" not in headers


def test_policy_of_the_site_is_sent_as_it_is():
    assert security_headers([], "default-src {}")["content-security-policy"] == "default-src {}"
