import pytest

from antq_actors.cli import run


@pytest.fixture
def antq(path, capsys):
    """Returns the exit code, standard output and standard error of a command on the store."""

    def antq(*arguments, path=path):
        code = run([*map(str, arguments), "--path", str(path)])
        return code, *capsys.readouterr()

    return antq
