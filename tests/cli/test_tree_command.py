"""``antq tree``: a node's supervision tree as text, and as the API's JSON."""

import json

import pytest

from antq_actors.cli import run

NODE = """
import sys
from antq_actors import AntQ
from antq_actors.otp import chaos, wait_until_restarted

with AntQ(sys.argv[1], queues={"mail": 1}) as app:
    name = f"{app.root.cell.name}.queue.mail"
    chaos.crash(name)
    wait_until_restarted(name)
    print(app.node, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def node(program, tmp_path):
    """A node in another process, one of whose actors has crashed; it ends after a line."""
    node = program("-c", NODE, tmp_path / "jobs")
    node.number = node.line()
    return node


def antq(capsys, tmp_path, *arguments):
    code = run(["tree", "--path", str(tmp_path / "jobs"), *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_tree_of_a_node_is_drawn_with_what_its_supervisors_did(node, tmp_path, capsys):
    code, out, _ = antq(capsys, tmp_path)

    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"Node {node.number}"
    assert lines[1].endswith("[supervisor, running]")
    assert "├── " in lines[2]
    assert any("queue.mail" in line and "restarts 1" in line for line in lines)
    assert any("queues/mail/queue exited: Crash" in line for line in lines)


def test_the_json_is_what_the_api_answers(node, tmp_path, capsys):
    _, out, _ = antq(capsys, tmp_path, "--json", "--node", node.number)

    found = json.loads(out)
    assert (found["node"], found["missing"]) == (int(node.number), None)
    assert found["trees"][0]["kind"] == "supervisor"
    assert [each["kind"] for each in found["events"]] == ["exited"]


def test_what_there_is_no_tree_of_is_said(node, tmp_path, capsys):
    code, _, err = antq(capsys, tmp_path, "--node", "99")
    assert (code, "no living node 99" in err) == (1, True)

    node.process.stdin.write("\n")
    node.process.stdin.flush()
    node.process.wait(60)
    code, out, _ = antq(capsys, tmp_path)

    assert code == 0
    assert "There is no tree: no process runs queues of this store" in out
    assert json.loads(antq(capsys, tmp_path, "--json")[1])["trees"] == []


def test_a_path_without_a_store_is_refused_and_nothing_is_made(tmp_path, capsys):
    code, _, err = antq(capsys, tmp_path)

    assert code == 1
    assert "jobs" in err
    assert list(tmp_path.iterdir()) == []
