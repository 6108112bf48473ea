"""The application of a Flask or Quart site, by its settings ``ANTQ_*``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from antq_actors import AntQ
from antq_actors.checks import list_known, short_repr
from antq_actors.cli.embedded import command_for
from antq_actors.errors import ConfigError
from antq_actors.integrations.app_context import AppContext, check_place

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "ANTQ_"
RUN_IN_SERVER: Final = "ANTQ_RUN_IN_SERVER"
"""Whether the processes of the server run the queues, too."""
APP: Final = "ANTQ_APP"
"""Where job processes find the site."""

_OPTIONS: Final = {f"{PREFIX}{name.upper()}": name for name in inspect.signature(AntQ).parameters}


def extend(site: Any, kind: type[Any], program: str) -> AntQ:
    """Give a site its application and its commands; return the application, which is not open yet.

    *kind*: the class of sites; *program*: what users type, such as ``"flask antq"``. Raises
    TypeError for another site, and what `application` raises.
    """
    if not isinstance(site, kind):
        raise TypeError(f"site must be a {kind.__name__} application, got {short_repr(site)}")
    if "antq" in site.extensions:
        raise ConfigError(
            f"the site {site.name!r} has an application of antq already; write AntQ(site) or"
            " antq.init_app(site), once"
        )
    described = site.extensions["antq"] = application(site)
    site.cli.add_command(command_for(lambda: described, site.name, program))
    return described


def application(site: Any) -> AntQ:
    """Describe the application of a site by its settings; its jobs run in the site's context.

    Raises ConfigError for a setting that there is not, and what :class:`AntQ` raises.
    """
    settings: Mapping[str, Any] = site.config
    known = (*_OPTIONS, RUN_IN_SERVER, APP)
    for name in settings:
        if isinstance(name, str) and name.startswith(PREFIX) and name not in known:
            raise ConfigError(f"there is no setting {name!r}{list_known(name, known)}")
    runs_in_server(site)
    where = settings.get(APP)
    if where is not None:
        check_place(where)
    options = {option: settings[name] for name, option in _OPTIONS.items() if name in settings}
    own = options.get("middleware", ())
    if isinstance(own, Sequence) and not isinstance(own, str | bytes):  # AntQ refuses others
        options["middleware"] = [AppContext(site, where), *own]
    return AntQ(**options)


def runs_in_server(site: Any) -> bool:
    """Return whether the processes of the server run the queues. Raises ConfigError."""
    found = site.config.get(RUN_IN_SERVER, False)
    if not isinstance(found, bool):
        raise ConfigError(f"{RUN_IN_SERVER} must be True or False, got {short_repr(found)}")
    return found


def open_here(site: Any) -> None:
    """Start the application of a site in this process, unless it runs already."""
    app: AntQ = site.extensions["antq"]
    if not app.antq_is_running:
        app.start(queues=runs_in_server(site))
