"""Insights: what it is given is checked, and where the application runs."""

import pytest

from antq_actors import AntQ, NotStarted
from antq_actors.insights import Insights
from antq_actors.insights.source import Source


@pytest.mark.parametrize("app", [None, "jobs", AntQ])
def test_what_is_no_application_is_refused(app):
    with pytest.raises(TypeError, match=r"app must be an AntQ, got"):
        Insights(app)


def test_what_cannot_be_called_is_refused_as_redact():
    with pytest.raises(TypeError, match=r"redact must be a function .* got 'password'"):
        Insights(AntQ(), redact="password")


def test_its_repr_names_the_application():
    assert repr(Insights(AntQ())) == "<Insights of <AntQ volatile not started>>"


def test_the_store_of_an_application_that_does_not_run_is_not_there():
    app = AntQ()
    source = Source(app)
    with pytest.raises(NotStarted):
        _ = source.store
    with app:
        assert source.store is source.runtime.store
        assert source.now() > 0
    with pytest.raises(NotStarted):
        _ = source.store
