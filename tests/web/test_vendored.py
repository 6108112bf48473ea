"""What pages load that is not ours: as published, with its licence, and known by its hash."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from vendoring import ICONS, LOCK, PACKAGES, SPRITE, STATIC, VENDOR, sha256, tarball_hash

ROOT = Path(__file__).parent.parent.parent
COMPONENTS = json.loads(LOCK.read_text())["components"]


def test_each_file_has_the_hash_of_the_lock_and_no_other_is_there():
    locked = {file["name"]: file["hashes"] for each in COMPONENTS for file in each["components"]}

    stored = [SPRITE, *(each for each in VENDOR.rglob("*") if each.is_file())]
    assert locked == {
        each.relative_to(STATIC).as_posix(): [{"alg": "SHA-256", "content": sha256(each)}]
        for each in stored
    }


def test_the_lock_has_the_packages_that_are_fetched():
    assert [(each["purl"], each["licenses"]) for each in COMPONENTS] == [
        (each.purl, [{"license": {"id": each.licence}}]) for each in PACKAGES
    ]
    assert all(re.fullmatch("[0-9a-f]{128}", tarball_hash(each)) for each in COMPONENTS)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda each: each.name)
def test_each_package_comes_with_its_licence(package):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert (VENDOR / package.folder / "LICENSE").stat().st_size > 0
    assert package.licence in project["license"].split(" AND ")


def test_the_sprite_has_the_icons_and_nothing_that_runs():
    text = SPRITE.read_text()

    assert tuple(re.findall(r'<symbol id="([^"]+)"', text)) == ICONS
    tags = set(re.findall(r"<(\w+)", text))
    assert tags <= {"svg", "symbol", "path", "circle", "rect", "line", "ellipse", "polyline"}
