"""The files that pages load: scripts, styles, icons of the wheel, each under its content's hash."""

from __future__ import annotations

import gzip
import hashlib
import json
import mimetypes
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.responses import Response

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

IMMUTABLE: Final = "public, max-age=31536000, immutable"
_NO_FILES: Final = (".md", "LICENSE")


class StaticFile(NamedTuple):
    """A file as it is sent."""

    content: bytes
    compressed: bytes
    type: str


@lru_cache(maxsize=1)
def all_files() -> tuple[str, dict[str, StaticFile]]:
    """Return the hash of all files together, and each by its path below ``static``."""
    found = dict(_below(files("antq_actors.web") / "static", ""))
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + found[name].content + b"\0")
    return digest.hexdigest()[:16], found


def _below(folder: Traversable, prefix: str) -> list[tuple[str, StaticFile]]:
    found = []
    for each in folder.iterdir():
        if each.is_dir():
            found += _below(each, f"{prefix}{each.name}/")
        elif not each.name.endswith(_NO_FILES):
            content = each.read_bytes()
            kind = mimetypes.guess_type(each.name)[0] or "application/octet-stream"
            compressed = gzip.compress(content, mtime=0)
            found.append((prefix + each.name, StaticFile(content, compressed, kind)))
    return found


def static_path(name: str) -> str:
    """Return the path of a file below the mount. Raises KeyError for one that there is not."""
    digest, known = all_files()
    known[name]
    return f"static/{digest}/{name}"


def serve(request: Request, digest: str, name: str) -> Response | None:
    """Return a file, to be kept for ever; None: there is none of this hash and name."""
    present, known = all_files()
    if digest != present or name not in known:
        return None
    file = known[name]
    headers = {"cache-control": IMMUTABLE, "vary": "accept-encoding"}
    content = file.content
    if "gzip" in request.headers.get("accept-encoding", ""):
        content = file.compressed
        headers["content-encoding"] = "gzip"
    return Response(content, media_type=file.type, headers=headers)


@lru_cache(maxsize=1)
def vendored() -> tuple[tuple[str, str], ...]:
    """Return what comes with the wheel from elsewhere: names with versions, and licences."""
    listed = json.loads((files("antq_actors.web") / "vendored.cdx.json").read_text("utf-8"))
    return tuple(
        (f"{each['name']} {each['version']}", each["licenses"][0]["license"]["id"])
        for each in listed["components"]
        if "version" in each
    )
