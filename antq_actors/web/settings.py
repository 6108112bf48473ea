"""What a visitor has set for themselves: it is kept in cookies of their browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antq_actors.web.refusals import bad_field

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

THEMES: Final = ("system", "light", "dark")
ZONES: Final = ("browser", "utc")
KEYS: Final = ("on", "off")
QUIZ: Final = ("off", "on")
_KEPT_SECONDS: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Settings:
    """How a visitor wants pages to be shown."""

    theme: str = "system"
    zone: str = "browser"
    keys: str = "on"
    """Whether single keys are shortcuts."""
    quiz: str = "off"
    """Whether the tree asks what will follow before it says so."""


_CHOICES: Final = {"theme": THEMES, "zone": ZONES, "keys": KEYS, "quiz": QUIZ}


def settings_of(request: Request) -> Settings:
    """Return the settings in a request's cookies; the default of what is not one of the choices."""
    found = {name: request.cookies.get(f"antq_{name}", "") for name in _CHOICES}
    return Settings(**{name: text for name, text in found.items() if text in _CHOICES[name]})


def keep_settings(response: Response, fields: Any, root: str, *, is_secure: bool) -> None:
    """Set the cookies of the settings in *fields*. Raises Refusal for what is not a choice.

    The last of several values counts: a box that is not ticked is not sent, so the one of "off"
    stands before it.
    """
    for name, choices in _CHOICES.items():
        texts = fields.get(name, ())
        for text in texts:
            if text not in choices:
                raise bad_field(f"{name} must be one of {', '.join(choices)}, got {text!r}")
        if texts:
            response.set_cookie(
                f"antq_{name}",
                texts[-1],
                max_age=_KEPT_SECONDS,
                path=root,
                samesite="lax",
                secure=is_secure,
            )
