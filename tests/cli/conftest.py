import sys

import pytest

from antq_actors.cli import run


@pytest.fixture
def antq(path, capsys):
    """Returns the exit code, standard output and standard error of a command on the store."""

    def antq(*arguments, path=path):
        code = run([*map(str, arguments), "--path", str(path)])
        return code, *capsys.readouterr()

    return antq


@pytest.fixture
def odd_app(tmp_path, monkeypatch):
    """Make the module its_odd_app of a source, where commands find it; return its file."""

    def make(source):
        file = tmp_path / "its_odd_app.py"
        file.write_text(source)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "its_odd_app", raising=False)
        return file

    return make
