"""Every example in a docstring is run, and shows what really happens."""

import doctest
import importlib
import importlib.util
import pkgutil

import pytest

import antq_actors

OF_RAY = ("antq_actors.cluster", "antq_actors.integrations.ray.")
# Imported by a site of Django that is set up, and by nothing else; they have no examples.
OF_A_SITE = ("antq_actors.integrations.django.admin", "antq_actors.integrations.django.models")
HAS_RAY = importlib.util.find_spec("ray") is not None

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(antq_actors.__path__, "antq_actors.")
    if not module.name.endswith(("__main__", *OF_A_SITE))
    and (HAS_RAY or not module.name.startswith(OF_RAY))
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = map(importlib.import_module, MODULES)

    assert sum(bool(test.examples) for module in modules for test in finder.find(module)) >= 10
