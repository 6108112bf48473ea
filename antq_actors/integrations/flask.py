"""The extension for Flask: a site has its own application, and ``flask antq`` its commands."""

from __future__ import annotations

from functools import partial

from antq_actors.integrations.site_settings import extend, open_here

try:
    import flask
except ModuleNotFoundError as error:
    if error.name != "flask":
        raise
    raise ImportError("this module needs Flask: pip install 'antq-actors[flask]'") from None


class AntQ:
    """Gives a Flask site an application, described by its settings ``ANTQ_*``.

    ``AntQ(site)``, or ``AntQ()`` and then :meth:`init_app` for each site of a factory. The settings
    are the options of :class:`antq_actors.AntQ` in upper case (``ANTQ_PATH``, ``ANTQ_QUEUES``),
    and:

    - ``ANTQ_RUN_IN_SERVER``: True has the processes of the server run the queues, too. By default
      they only enqueue and look, and ``flask antq start`` runs the queues.
    - ``ANTQ_APP``: where job processes (``executor="process"``) find the site:
      ``"module:site"`` or ``"module:create_site"``. Without it, jobs run there without its context.

    Jobs run in the application context of the site, and never in that of a request.
    """

    def __init__(self, app: flask.Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, site: flask.Flask) -> None:
        """Describe the application of *site* as ``site.extensions["antq"]``; open nothing yet.

        Each process opens it at its first request, unless it runs already. Raises ConfigError for a
        setting ``ANTQ_…`` that there is not, TypeError for what is no site, and what
        :class:`antq_actors.AntQ` raises.
        """
        extend(site, flask.Flask, "flask antq")
        # Before what the site has registered already, which may enqueue.
        site.before_request_funcs.setdefault(None, []).insert(0, partial(open_here, site))
