"""``antq demo --web``: a shop to look at in the browser, and lessons to do there."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final, TypeAlias

import typer

from antq_actors import AntqError
from antq_actors.app import signals
from antq_actors.cli import output

ADDRESS: Final = "127.0.0.1:8420"
_MOST_PORT: Final = 65_535

Web: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--web",
        help="Open a shop with traffic and lessons in the browser, in place of the promotion.",
    ),
]
WebAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help=f"Where --web listens; the default is {ADDRESS}."),
]


def run(address: str | None) -> None:
    """Open the shop in a store of its own, serve it until a signal, and leave nothing behind."""
    host, port = _parsed(address or ADDRESS)
    try:
        from antq_actors.demo.job_lessons import job_lessons, lay_out_jobs  # noqa: PLC0415 - for this alone
        from antq_actors.demo.learn_page import learn_routes  # noqa: PLC0415 - needs an extra
        from antq_actors.demo.lessons import Lessons  # noqa: PLC0415 - for this alone
        from antq_actors.demo.shop import ROOT, Shop  # noqa: PLC0415 - for this alone
        from antq_actors.demo.tree_lessons import tree_lessons  # noqa: PLC0415 - for this alone
        from antq_actors.web.server import Serving, WebServer  # noqa: PLC0415 - needs an extra
    except ImportError as error:
        raise AntqError(str(error)) from None

    with TemporaryDirectory(prefix="antq-demo-") as folder:
        shop = Shop(Path(folder) / ROOT)
        lessons = Lessons([*tree_lessons(shop), *job_lessons(shop)])
        try:
            serving = Serving(host=host, port=port, chaos=True)
        except ValueError:
            raise _not_loopback(address) from None
        try:
            server = WebServer(shop.app, serving, trees=[ROOT], further=learn_routes(shop, lessons))
        except ValueError as error:  # the token of the environment
            raise typer.BadParameter(str(error)) from None
        for name in ("jobs", "otp"):  # what fails in the shop is meant to
            logging.getLogger(f"antq_actors.{name}").setLevel(logging.CRITICAL)

        def report_start() -> None:
            shop.open()
            shop.launch_ovens()
            lay_out_jobs(shop.app)
            output.write(f"the shop is open at {server.start()}")

        try:
            signals.run(shop.app, when_up=report_start)
        except RuntimeError as error:  # someone has crashed the application's own tree for good
            raise AntqError(str(error)) from None
        finally:
            server.stop()
            shop.close()


def _not_loopback(address: str | None) -> typer.BadParameter:
    return typer.BadParameter(
        f"whoever reaches the shop can crash it, so it listens at a loopback address, such as"
        f" {ADDRESS}; got {address!r}",
        param_hint="--web-address",
    )


def _parsed(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``. Raises BadParameter."""
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and int(port) <= _MOST_PORT):
        raise typer.BadParameter(
            f"write HOST:PORT, such as {ADDRESS}, got {address!r}", param_hint="--web-address"
        )
    return host.strip("[]"), int(port)
