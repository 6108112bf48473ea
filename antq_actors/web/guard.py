"""Which requests are answered at all, and what every answer says to the browser.

Pure functions of a request's headers. What they refuse changes nothing.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {}"
)
"""The Content-Security-Policy: each script and style is a file of ours."""

_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]/@\s]+)(:\d{0,5})?", re.IGNORECASE)


def host_name(host: str) -> str | None:
    """Return the name in a Host header, in small letters and without its port; None: it has none.

    >>> host_name("Jobs.Example.org:8420"), host_name("[::1]:80"), host_name("a/b")
    ('jobs.example.org', '[::1]', None)
    """
    found = _HOST.fullmatch(host)
    return None if found is None else found["name"].lower().removesuffix(".")


def is_own_host(host: str | None, names: Sequence[str]) -> bool:
    """Return whether a Host header names this site: an IP address, this machine, or one of *names*.

    A page of another site can be given a name that leads here (DNS rebinding). Its browser then
    sends that name, never an address.

    >>> [is_own_host(host, ["jobs.lan"]) for host in ("127.0.0.1:1", "jobs.lan", "evil.example")]
    [True, True, False]
    """
    name = None if host is None else host_name(host)
    if name is None:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return is_ip_address(name) or name in {each.lower() for each in names}


def is_ip_address(name: str) -> bool:
    """Return whether a host's name is an IP address; one of version 6 in brackets."""
    try:
        if name.startswith("["):
            return isinstance(ip_address(name[1:-1]), IPv6Address)
        return not isinstance(ip_address(name), IPv6Address)
    except ValueError:
        return False


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Return whether a page of this site sent the request, by what browsers say of that.

    ``Sec-Fetch-Site`` first, which browsers leave out over plain HTTP; then ``Origin``, whose host
    must be the one that was asked. A request with neither is refused.

    >>> is_same_origin({"sec-fetch-site": "same-origin"})
    True
    >>> is_same_origin({"origin": "http://evil.example", "host": "127.0.0.1:8420"})
    False
    >>> is_same_origin({"host": "127.0.0.1:8420"})
    False
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin, host = headers.get("origin"), headers.get("host")
    if not origin or not host:
        return False
    scheme, separator, place = origin.partition("://")
    if not separator:
        return False
    default = {"http": ":80", "https": ":443"}.get(scheme.lower(), "")
    return place.lower().removesuffix(default) == host.lower().removesuffix(default)


def security_headers(frame_ancestors: Sequence[str], policy: str | None) -> dict[str, str]:
    """Return the headers of every answer.

    *frame_ancestors*: the origins that may show a page in a frame; *policy* is sent as the
    Content-Security-Policy in place of our own.
    """
    ancestors = " ".join(frame_ancestors) or "'none'"
    headers = {
        "content-security-policy": POLICY.format(ancestors) if policy is None else policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cache-control": "no-store",
    }
    if not frame_ancestors:
        headers["x-frame-options"] = "DENY"
    return headers
