"""The site of Django in tests/integrations/django_site, for tests in this program."""

import os
from contextlib import contextmanager

import django
import pytest

from antq_actors.integrations.django import site
from support.programs import TESTS

HERE = TESTS / "integrations"
BACKEND = "antq_actors.integrations.django.AntqBackend"


@contextmanager
def set_up(tmp_path_factory):
    """Set Django up, once for this program: its settings stay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_SITE_HOME", str(_home(tmp_path_factory)))
        patch.setenv("DJANGO_SETTINGS_MODULE", "django_site.settings")
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (HERE, TESTS))))
        django.setup()
        yield
        site.close_all()


_homes = []


def _home(tmp_path_factory):
    if not _homes:
        _homes.append(tmp_path_factory.mktemp("site"))
    return _homes[0]


def settings_of(path, **options):
    """Return TASKS with a backend that keeps its jobs in this path."""
    queues = options.pop("queues", ["default", "mail"])
    return {"default": {"BACKEND": BACKEND, "QUEUES": queues, "OPTIONS": {"PATH": path, **options}}}
