"""The dashboard of an application in a browser: what runs, what waits, why, and what to do.

``dashboard(app)`` is an ASGI application to mount in a site; ``antq web`` and ``antq start --web``
serve it by themselves. It needs the extra ``web``.

application.py   who may come in, which route it is, what is answered
options.py       what a dashboard is told, checked
guard.py         hosts, origins, headers: pure
ways_in.py       the outer site, the token of a URL, passwords
routes.py        what a route is; site.py has them all, pages/ a module for each group of them
view.py          one request
rendering.py     templates; shell.py, settings.py, notices.py: what is around every page
saved_views.py   lists of jobs under a name, of a visitor and of a team
paging.py        lists
refusals.py      what a refused request is answered
static_files.py  scripts and styles, under their content's hash
server.py        the server of ``antq web``
wsgi.py          the same in a site of WSGI; django/, the address in a site of Django
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import jinja2  # noqa: F401 - looked for
    import starlette  # noqa: F401 - looked for
except ImportError as error:
    raise ImportError(
        "this module needs Starlette and Jinja: pip install 'antq-actors[web]'", name=error.name
    ) from None

from antq_actors.insights.access import Access, Visitor
from antq_actors.integrations.asgi import check as _check_app
from antq_actors.introspection import shown
from antq_actors.web.application import Dashboard
from antq_actors.web.options import check_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from starlette.requests import Request

    from antq_actors import AntQ

__all__ = ["Access", "Dashboard", "Visitor", "dashboard"]


def dashboard(
    app: AntQ,
    *,
    access: Callable[[Request], Access | Visitor] | None = None,
    tokens: Mapping[str, Access] | None = None,
    trees: Sequence[Any] = (),
    hosts: Sequence[str] | None = None,
    frame_ancestors: Sequence[str] = (),
    csp: str | None = None,
    redact: Callable[[str, Any], Any] | None = None,
    prometheus: bool = False,
    chaos: bool = False,
    views: Mapping[str, Any] | PathLike[str] | str | None = None,
) -> Dashboard:
    """Return the dashboard of *app*, to be mounted in an ASGI site; its ``.wsgi()`` in a WSGI one.

    ``web.mount("/antq", dashboard(app, access=who))``

    *access* is given each request and returns what its sender may do, an `Access`, or a `Visitor`
    with the name for the audit. Without it every page is refused; where it raises, too, and that is
    logged. *tokens* are the Bearer tokens of ``/api/v1`` with what each may do; None: it answers
    nobody. *trees*: refs or registered names of supervisors that are shown beside the application's
    own. *hosts*: names under which the site is known; requests with another are refused; None: the
    outer site sees to that. *frame_ancestors*: origins that may show pages in a frame. *csp* is
    sent as the Content-Security-Policy in place of ours. *redact* is given a path such as
    "args.user.token" and a value, and returns what is shown. *prometheus*: whether ``/metrics``
    is served. *chaos*: whether actors may be crashed from here, by those with that level.
    *views* are lists of jobs that all visitors see by name: a mapping of names to filters, or to
    mappings of filter, order and limit; or the path of a TOML file with that.

    Raises TypeError and ValueError that name the option.
    """
    _check_app(app)
    options = check_options(
        access=access,
        tokens=tokens,
        trees=trees,
        hosts=hosts,
        frame_ancestors=frame_ancestors,
        csp=csp,
        redact=redact,
        prometheus=prometheus,
        chaos=chaos,
        views=views,
    )
    return Dashboard(app, options)


def __dir__() -> list[str]:
    """Return what `__all__` has, and not what this file imported."""
    return shown(globals())
