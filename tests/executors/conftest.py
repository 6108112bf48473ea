import pytest
from apps import until
from crews import Crew
from plays import EXECUTORS, Play, overlook_processes, processes


@pytest.fixture(params=EXECUTORS)
def kind(request):
    return request.param


@pytest.fixture
def play(kind, tmp_path):
    """A play whose parts are jobs of one executor; its application is not started yet."""
    overlook_processes()
    play = Play(kind, tmp_path)
    yield play
    if play.app is not None:
        play.app.stop(timeout=0)
    until(lambda: not processes(), "the end of all processes")


@pytest.fixture
def crew(tmp_path):
    """An application whose jobs do deeds in processes; it is not started yet."""
    overlook_processes()
    crew = Crew(tmp_path)
    yield crew
    if crew.app is not None:
        crew.app.stop(timeout=0)
    crew.kill_daemons()
    until(lambda: not processes(), "the end of all processes")
