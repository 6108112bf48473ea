"""The plugin for Litestar: it runs an application with the site, and injects it into handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors import AntQ
from antq_actors.cli.embedded import command_for
from antq_actors.integrations import asgi

try:
    from litestar.di import Provide
    from litestar.plugins import CLIPlugin, InitPlugin
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "litestar":
        raise
    raise ImportError("this module needs Litestar: pip install 'antq-actors[litestar]'") from None

if TYPE_CHECKING:
    from datetime import timedelta

    from click import Group
    from litestar.config.app import AppConfig


class AntQPlugin(InitPlugin, CLIPlugin):
    """Runs *app* as long as a Litestar site, and injects it as the dependency ``antq``.

    ``Litestar(plugins=[AntQPlugin(app, queues=False)])``; a handler with a parameter
    ``antq: NamedDependency[AntQ]`` gets it. ``litestar antq start`` runs its queues, and
    ``litestar antq list`` and the others look at its jobs. The arguments are those of
    :func:`antq_actors.integrations.asgi.lifespan`. Raises TypeError and ValueError.
    """

    def __init__(
        self,
        app: AntQ,
        *,
        queues: bool | None = None,
        timeout: float | timedelta = asgi.STOP_SECONDS,
    ) -> None:
        self._app = app
        self._lifespan = asgi.lifespan(app, queues=queues, timeout=timeout)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the lifespan and the dependency to a site that is being made."""
        app_config.lifespan.insert(0, self._lifespan)  # outermost: others may enqueue
        app_config.dependencies["antq"] = Provide(self._application, sync_to_thread=False)
        app_config.signature_types.append(AntQ)
        return app_config

    def on_cli_init(self, cli: Group) -> None:
        """Add ``litestar antq``."""
        cli.add_command(command_for(lambda: self._app, "the site", "litestar antq"))

    def _application(self) -> AntQ:
        return self._app
