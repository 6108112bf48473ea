"""``antq metrics``: serve the numbers of a store to Prometheus until a signal stops it."""

import threading
from collections.abc import Callable, Iterable
from socket import AF_INET6
from socketserver import ThreadingMixIn
from typing import Annotated, Any, Final, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import typer

from antq_actors import AntqError
from antq_actors.app import signals
from antq_actors.cli import output
from antq_actors.cli.store import StorePath, open_store

PLACE: Final = "/metrics"

CLIENT_TIMEOUT_SECONDS: Final = 30.0
"""Seconds that a client may take for its request."""

Port: TypeAlias = Annotated[
    int, typer.Option(min=0, max=65_535, help="Port to listen at; 0: any that is free.")
]
Host: TypeAlias = Annotated[
    str, typer.Option(help="Address to listen at; 0.0.0.0 is all of this machine.")
]


def metrics(path: StorePath, *, port: Port = 9464, host: Host = "127.0.0.1") -> None:
    """Serve the numbers of a store to Prometheus until a signal stops it.

    They are at /metrics: the jobs by queue and status, how long the first due one has waited, the
    nodes and their slots, the size of the store. They are read from the store, so one such program
    shows all processes of a path. What a process has performed is counted there, so serve that
    from your own program: Collector, asgi_app and wsgi_app in antq_actors.telemetry.prometheus.

    \b
    Examples:
      antq metrics --path jobs
      antq metrics --path jobs --port 9000 --host 0.0.0.0
    """
    try:
        from antq_actors.telemetry.prometheus import wsgi_app  # noqa: PLC0415 - needs an extra
    except ImportError as error:
        raise AntqError(str(error)) from None

    with open_store(path) as app, _listening(host, port) as server:
        server.set_app(_at_one_place(wsgi_app(app, store_only=True)))
        threading.Thread(target=server.serve_forever, name="antq metrics", daemon=True).start()
        place = f"[{host}]" if ":" in host else host
        where = f"http://{place}:{server.server_port}{PLACE}"

        def report_start() -> None:
            _say(f"metrics of '{path}' are at {where}; Ctrl-C stops it")

        try:
            signals.run(app, queues=False, when_up=report_start)
        except RuntimeError as error:  # the tree gave up: its store is gone
            raise AntqError(str(error)) from None
        finally:
            server.shutdown()
    _say("stopped")


class _Server(ThreadingMixIn, WSGIServer):
    """Serves each request in a thread of its own: one that hangs holds up no other."""

    daemon_threads = True


class _Server6(_Server):
    address_family = AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_TIMEOUT_SECONDS

    def log_message(self, *_arguments: object) -> None:
        """Log no requests."""


def _listening(host: str, port: int) -> _Server:
    kind = _Server6 if ":" in host else _Server
    try:
        return make_server(host, port, _not_found, kind, _Handler)
    except OSError as error:
        raise AntqError(
            f"cannot listen at port {port} of {host}: {error.strerror or error}; choose others with"
            " --port and --host"
        ) from None


def _at_one_place(served: Callable[[Any, Any], Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Return a WSGI application that has this one at its place alone."""

    def choose(environ: Any, start_response: Any) -> Iterable[bytes]:
        app = served if environ["PATH_INFO"] == PLACE else _not_found
        return app(environ, start_response)

    return choose


def _not_found(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [f"metrics are at {PLACE}\n".encode()]


def _say(text: str) -> None:
    output.write_stderr(f"antq: {output.printable(text)}")
