from pathlib import Path

import pytest
from programs import Program

HERE = Path(__file__).parent


@pytest.fixture
def program():
    """Start a program of this folder, or other code with "-c"; afterwards it is killed."""
    started = []

    def start(*arguments):
        program = Program(arguments, HERE)
        started.append(program)
        return program

    yield start
    for program in started:
        program.process.kill()
        program.process.communicate()
