"""``antq web``: serve the dashboard of a store until a signal stops it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from antq_actors import AntQ, AntqError
from antq_actors.app import signals
from antq_actors.cli import output
from antq_actors.cli.store import StorePath, open_shown_store

PORT: Final = 8420

Host: TypeAlias = Annotated[str, typer.Option(help="Address to listen at.")]
Port: TypeAlias = Annotated[
    int, typer.Option(min=0, max=65_535, help="Port to listen at; 0: any that is free.")
]
Uds: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Unix socket to listen at in place of a port.")
]
Auth: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File of mode 0600 with a line NAME:LEVEL:SECRET for each visitor; the levels are"
        " read, operate and chaos.",
    ),
]
HostNames: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--host-name", metavar="NAME", help="Further name of this site, behind a proxy."),
]
ReadOnly: TypeAlias = Annotated[
    bool, typer.Option("--read-only", help="Let nobody change anything.")
]
Chaos: TypeAlias = Annotated[
    bool, typer.Option("--chaos", help="Also let actors be crashed, to see what comes of it.")
]
Prometheus: TypeAlias = Annotated[bool, typer.Option("--prometheus", help="Also serve /metrics.")]
Views: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help='TOML file of lists of jobs that all visitors see: lines "NAME" = "FILTER".',
    ),
]
OpenBrowser: TypeAlias = Annotated[bool, typer.Option("--open", help="Open it in the browser.")]


def web(
    path: StorePath,
    *,
    host: Host = "127.0.0.1",
    port: Port = PORT,
    uds: Uds = None,
    auth: Auth = None,
    host_name: HostNames = None,
    read_only: ReadOnly = False,
    chaos: Chaos = False,
    prometheus: Prometheus = False,
    views: Views = None,
    open_: OpenBrowser = False,
) -> None:
    """Serve the dashboard of a store in the browser until a signal stops it.

    It prints its URL, whose token lets you in; ANTQ_WEB_TOKEN, of at least 32 characters, takes the
    place of that token and is a Bearer token of the JSON API, too. An address that others reach
    needs --auth.

    \b
    Examples:
      antq web --path jobs
      antq web --path jobs --read-only --open
      antq web --path jobs --host 0.0.0.0 --auth visitors --host-name jobs.example.org
    """
    with (
        open_shown_store(path) as app,
        served(
            app,
            str(path),
            host=host,
            port=port,
            uds=uds,
            auth=auth,
            hosts=host_name or (),
            is_read_only=read_only,
            chaos=chaos,
            prometheus=prometheus,
            views=views,
        ) as serve,
    ):

        def when_up() -> None:
            url = serve()
            if open_:
                typer.launch(url)

        try:
            signals.run(app, queues=False, when_up=when_up)
        except RuntimeError as error:  # the tree gave up: its store is gone
            raise AntqError(str(error)) from None


@contextmanager
def served(
    app: AntQ, name: str, *, has_auth: bool = True, **how: Any
) -> Iterator[Callable[[], str]]:
    """Listen as long as the context lasts; the function it gives serves, and returns the URL.

    *how* is for :class:`~antq_actors.web.server.Serving`; *has_auth*: whether the command has
    ``--auth``. Raises BadParameter for what is wrong with it, StartError where the address cannot
    be had, and AntqError without the extra.
    """
    try:
        from antq_actors.web.server import Serving, WebServer  # noqa: PLC0415 - needs an extra
    except ImportError as error:
        raise AntqError(str(error)) from None
    try:
        server = WebServer(app, Serving(**how))
    except ImportError as error:  # of the extra for --prometheus
        raise AntqError(str(error)) from None
    except ValueError as error:
        instead = "" if has_auth else "; antq web has that option, antq start has not"
        raise typer.BadParameter(f"{error}{instead if '--auth' in str(error) else ''}") from None

    def serve() -> str:
        url = server.start()
        output.write(f"the dashboard of '{name}' is at {url}")
        return url

    server.listen()
    try:
        yield serve
    finally:
        server.stop()
