"""A dashboard of an application, asked without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from antq_actors.web import Access, dashboard

if TYPE_CHECKING:
    from antq_actors import AntQ

OWN: dict[str, str] = {"sec-fetch-site": "same-origin"}
"""What a browser sends with a form of the page's own site."""
TOKENS = {
    "read-" + "r" * 32: Access.READ,
    "operate-" + "o" * 32: Access.OPERATE,
    "chaos-" + "c" * 32: Access.CHAOS,
}


def site(
    app: AntQ, level: Access | None = Access.OPERATE, prefix: str = "", **options: Any
) -> TestClient:
    """Return a client of the dashboard whose visitors have a *level*; None: no ``access=``."""
    if level is not None:
        options.setdefault("access", lambda _request: level)
    made = dashboard(app, tokens=TOKENS, **options)
    return TestClient(made, base_url="http://localhost", root_path=prefix, follow_redirects=False)


def bearer(level: Access) -> dict[str, str]:
    """Return the header of a program with a *level*."""
    return {"authorization": f"Bearer {level.name.lower()}-{level.name[0].lower() * 32}"}
