"""Sites of Flask and Quart, and jobs that ask for the application context of theirs."""

import flask
import quart

from antq_actors import Middleware, QueueConfig, worker
from antq_actors.integrations.flask import AntQ as FlaskAntQ
from antq_actors.integrations.quart import AntQ as QuartAntQ

QUEUES = {
    "threads": 2,
    "coroutines": QueueConfig(2, executor="async"),
    "processes": QueueConfig(1, executor="process"),
}


class Tenants(Middleware):
    """Writes into the meta of each job whose it is."""

    def on_enqueue(self, draft):
        draft.meta["tenant"] = "acme"


def _site_name():
    for framework in (flask, quart):
        if framework.has_app_context():
            assert not framework.has_request_context()
            return framework.current_app.name
    return None


@worker(queue="threads", max_attempts=1, result=True)
def in_thread(*, fails=False):
    if fails:
        raise ValueError("no")
    return _site_name()


@worker(queue="coroutines", max_attempts=1, result=True)
async def in_loop(*, fails=False):
    if fails:
        raise ValueError("no")
    return _site_name()


@worker(queue="processes", max_attempts=1, result=True)
def in_process():
    return _site_name()


def flask_site(path=None, **settings):
    site = flask.Flask("shop")
    site.config.update(ANTQ_PATH=path, ANTQ_QUEUES=QUEUES, **settings)
    FlaskAntQ(site)
    return site


async def flask_site_async():
    return flask_site()


def quart_site(path=None, **settings):
    site = quart.Quart("shop")
    site.config.update(ANTQ_PATH=path, ANTQ_QUEUES=QUEUES, **settings)
    QuartAntQ().init_app(site)
    return site
