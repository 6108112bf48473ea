# ruff: noqa: T201 - a program that prints what it did
"""Fetches what pages load that is not ours: scripts, a style sheet and icons from the npm registry.

    make vendor

Files are stored as they are published, each package in ``static/vendor/NAME-VERSION`` with its
licence. The icons that pages use become one sprite. ``antq_actors/web/vendored.cdx.json``, which is
also the wheel's software bill of materials, has the address of each tarball with its hash, and the
hash of each file. It is the lock: a tarball of a version that is in it has to have that hash.

For a new release change its version in PACKAGES; `npm` is needed, and the network. That what is
stored has the hashes of the lock is tested without either, in ``test_vendored.py``.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

WEB = Path(__file__).parent.parent.parent / "antq_actors" / "web"
STATIC = WEB / "static"
VENDOR = STATIC / "vendor"
LOCK = WEB / "vendored.cdx.json"
SPRITE = STATIC / "icons.svg"
REGISTRY = "https://registry.npmjs.org"
ICONS = (
    *("bug", "calendar-clock", "chart-line", "check", "chevron-right", "clock", "copy"),
    *("database", "download", "external-link", "gauge", "graduation-cap", "history", "info"),
    *("keyboard", "layers", "layout-dashboard", "list", "network", "pause", "play", "rotate-ccw"),
    *("search", "server", "skull", "step-forward", "sun-moon", "trash-2", "triangle-alert"),
    *("undo-2", "workflow", "x", "zap"),
)
DRAWN = """\
<symbol id="{name}" viewBox="0 0 24 24" {drawn}>
{shapes}
</symbol>"""
OUTLINED = (
    'fill="none" stroke="currentColor" stroke-width="2"'
    ' stroke-linecap="round" stroke-linejoin="round"'
)


@dataclass(frozen=True)
class Package:
    """A package of the npm registry, and which of its files are stored."""

    name: str
    version: str
    licence: str
    files: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return f"{self.name.rpartition('/')[2]}-{self.version}"

    @property
    def tarball(self) -> str:
        return f"{REGISTRY}/{self.name}/-/{self.folder}.tgz"

    @property
    def purl(self) -> str:
        return f"pkg:npm/{self.name.replace('@', '%40')}@{self.version}"


PACKAGES = (
    Package("@dagrejs/dagre", "3.1.3", "MIT", ("dist/dagre.min.js",)),
    Package("htmx.org", "4.0.1", "0BSD", ("dist/htmx.min.js", "dist/ext/hx-sse.min.js")),
    Package("lucide-static", "1.62.0", "ISC"),
    Package("uplot", "1.6.32", "MIT", ("dist/uPlot.iife.min.js", "dist/uPlot.min.css")),
)


def main() -> None:
    """Fetch all packages, store their files, and write the lock."""
    known = {each["purl"]: each for each in json.loads(LOCK.read_text())["components"]}
    with tempfile.TemporaryDirectory() as folder:
        fetched = {each: _fetch(each, Path(folder)) for each in PACKAGES}
        for package, (digest, _) in fetched.items():
            locked = known.get(package.purl)
            if locked and digest != tarball_hash(locked):
                sys.exit(f"{package.tarball} is not what {LOCK.name} says: its sha512 is {digest}")
        shutil.rmtree(VENDOR, ignore_errors=True)
        for package, (_, unpacked) in fetched.items():
            _store(package, unpacked)
    components = [_component(package, digest) for package, (digest, _) in fetched.items()]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": components,
    }
    LOCK.write_text(json.dumps(document, indent=2) + "\n")
    print(f"{len(PACKAGES)} packages are stored in {VENDOR}")


def _fetch(package: Package, folder: Path) -> tuple[str, Path]:
    """Return the sha512 of a tarball, in hexadecimal, and where it was unpacked."""
    npm = shutil.which("npm") or sys.exit("npm is needed; it comes with Node.js")
    place = folder / package.folder
    place.mkdir()
    subprocess.run(  # noqa: S603 - npm, with names of this file
        [npm, "pack", "--silent", "--pack-destination", place, f"{package.name}@{package.version}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (tarball,) = place.glob("*.tgz")
    with tarfile.open(tarball) as tar:
        tar.extractall(place, filter="data")
    return hashlib.sha512(tarball.read_bytes()).hexdigest(), place / "package"


def _store(package: Package, unpacked: Path) -> None:
    folder = VENDOR / package.folder
    folder.mkdir(parents=True)
    for each in ("LICENSE", *package.files):
        shutil.copyfile(unpacked / each, folder / Path(each).name)
    if package.name == "lucide-static":
        SPRITE.write_text(_sprite(unpacked / "icons"))


def _sprite(icons: Path) -> str:
    """Return one file of all icons: ``<use href="icons.svg#pause"/>`` shows one."""
    symbols = []
    for name in ICONS:
        text = (icons / f"{name}.svg").read_text()
        (shapes,) = re.findall(r"<svg[^>]*>(.*)</svg>", text, re.DOTALL)
        lines = "\n".join(line.strip() for line in shapes.strip().splitlines())
        symbols.append(DRAWN.format(name=name, drawn=OUTLINED, shapes=lines))
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


def _component(package: Package, digest: str) -> dict[str, object]:
    """Return what the lock says of a package."""
    stored = [VENDOR / package.folder / Path(each).name for each in ("LICENSE", *package.files)]
    if package.name == "lucide-static":
        stored.append(SPRITE)
    return {
        "type": "library",
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "licenses": [{"license": {"id": package.licence}}],
        "externalReferences": [
            {
                "type": "distribution",
                "url": package.tarball,
                "hashes": [{"alg": "SHA-512", "content": digest}],
            }
        ],
        "components": [
            {
                "type": "file",
                "name": each.relative_to(STATIC).as_posix(),
                "hashes": [{"alg": "SHA-256", "content": sha256(each)}],
            }
            for each in stored
        ],
    }


def sha256(file: Path) -> str:
    """Return the hash of a file, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def tarball_hash(component: dict) -> str:
    """Return the sha512 that the lock has of a package, in hexadecimal."""
    (reference,) = component["externalReferences"]
    (digest,) = reference["hashes"]
    return digest["content"]


if __name__ == "__main__":
    main()
