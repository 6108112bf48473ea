"""The extension for Quart: a site has its own application, and ``quart antq`` its commands."""

from __future__ import annotations

import asyncio

from antq_actors.integrations.site_settings import extend, open_here

try:
    import quart
except ModuleNotFoundError as error:
    if error.name != "quart":
        raise
    raise ImportError("this module needs Quart: pip install 'antq-actors[quart]'") from None


class AntQ:
    """Gives a Quart site an application, described by its settings ``ANTQ_*``.

    What :class:`antq_actors.integrations.flask.AntQ` promises for a Flask site; an application is
    opened in a thread.
    """

    def __init__(self, app: quart.Quart | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, site: quart.Quart) -> None:
        """Describe the application of *site* as ``site.extensions["antq"]``; open nothing yet.

        Each process opens it at its first request, unless it runs already. Raises ConfigError for a
        setting ``ANTQ_…`` that there is not, TypeError for what is no site, and what
        :class:`antq_actors.AntQ` raises.
        """
        described = extend(site, quart.Quart, "quart antq")

        async def open_before_request() -> None:
            if not described.antq_is_running:
                await asyncio.to_thread(open_here, site)

        for functions in (site.before_request_funcs, site.before_websocket_funcs):
            functions.setdefault(None, []).insert(0, open_before_request)
