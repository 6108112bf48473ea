"""What adapters need is imported by them alone, and what is missing is said in one line."""

import pytest
from support.programs import run_python

LIBRARIES = ["opentelemetry", "sentry_sdk", "prometheus_client"]
ADAPTERS = {
    "antq_actors.telemetry.otel": ("opentelemetry", "otel"),
    "antq_actors.telemetry.sentry": ("sentry_sdk", "sentry"),
    "antq_actors.telemetry.prometheus": ("prometheus_client", "prometheus"),
}
WITHOUT = f"""
import sys
from antq_actors import AntQ, telemetry
with AntQ():
    print([each for each in {LIBRARIES} if each in sys.modules])
"""


def test_an_application_without_adapters_imports_no_library_of_theirs():
    assert run_python("-c", WITHOUT, check=True).stdout == "[]\n"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_without_its_library_says_what_to_install(adapter):
    library, extra = ADAPTERS[adapter]

    done = run_python("-c", f"import sys; sys.modules[{library!r}] = None; import {adapter}")

    error = done.stderr.splitlines()[-1]
    assert error.startswith("ImportError: ")
    assert f"antq-actors[{extra}]" in error
