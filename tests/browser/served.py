"""A site with dashboards: of a shop at / and at /a/b, of an empty store, and of hostile jobs.

    python -m browser.served DIRECTORY

It prints its address, and ends when its input ends. The header X-Level of a request says what its
sender may do, OPERATE without it.
"""

import socket
import sys
import threading
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from antq_actors import AntQ
from antq_actors.web import Access, Visitor, dashboard
from browser import hostile, shown_shop


def who(request):
    """Return the visitor: Ada, with the level that the request names."""
    return Visitor(Access[request.headers.get("x-level", "OPERATE")], "ada")


def main(folder):
    """Serve until the input ends."""
    shop = shown_shop.application(folder / "shop").start()
    shown_shop.fill(shop)
    idle = AntQ(folder / "empty", queues={"default": 1}).start()
    odd = AntQ(folder / "odd", queues={"default": 4, hostile.NAME: 1}).start()
    hostile.fill(odd)
    shown_shop.Tills.start(name="tills")
    of_shop = dashboard(shop, access=who, trees=["tills"], chaos=True)
    views = {hostile.SCRIPT: "status:failed"}
    site = Starlette(
        routes=[
            Mount("/a/b", of_shop),
            Mount("/empty", dashboard(idle, access=who)),
            Mount("/odd", dashboard(odd, access=who, views=views)),
            Mount("/", of_shop),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(site, log_level="warning", server_header=False))
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201 - for the tests
    threading.Thread(target=_stop_at_the_end_of_input, args=[server], daemon=True).start()
    server.run(sockets=[listener])
    shown_shop.ended.set()
    for app in (odd, idle, shop):
        app.stop()


def _stop_at_the_end_of_input(server):
    sys.stdin.read()
    server.should_exit = True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
