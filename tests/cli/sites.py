"""Sites for ``antq start --app``, and jobs that say what they find of them."""

import os
from contextlib import asynccontextmanager
from pathlib import Path

import flask
from starlette.applications import Starlette

from antq_actors import AntQ, QueueConfig, worker
from antq_actors.integrations import asgi

PLACE = Path(os.environ.get("SITES_PLACE", "unused"))

QUEUES = {"default": 1, "processes": QueueConfig(1, executor="process")}
app = AntQ(PLACE / "store", queues=QUEUES)
pool = []


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())  # in one piece, whoever else says


@asynccontextmanager
async def lifespan(_):
    pool.append("pool")
    say("site up", app.runs_queues)
    yield
    say("site down", app.runs_queues)


web = Starlette(lifespan=asgi.wrap(lifespan, app))


class Around:
    """ASGI middleware whose call is no coroutine function: it returns that of its site."""

    def __init__(self, site):
        self.site = site

    def __call__(self, scope, receive, send):
        return self.site(scope, receive, send)


around = Around(web)


@asynccontextmanager
async def no_database(_):
    raise ConnectionError("no database")
    yield


broken = Starlette(lifespan=no_database)


async def http_alone(scope, receive, send):
    assert scope["type"] == "http"


def make_shop():
    shop = flask.Flask("shop")

    @shop.teardown_appcontext
    def teardown(error):
        say("teardown", error)

    return shop


shop = make_shop()


async def make_shop_async():
    return make_shop()


def fails():
    raise ValueError("no shop")


@worker
def look():
    say("found", *pool)


@worker(max_attempts=1)
def look_at_context(*, fails=False):
    say("found", flask.current_app.name, flask.has_request_context())
    if fails:
        raise KeyError("order")


@worker(queue="processes", max_attempts=1)
def look_at_context_in_a_process():
    say("found", flask.current_app.name, flask.has_request_context())
