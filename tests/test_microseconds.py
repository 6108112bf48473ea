"""Where a job's microseconds go: to which part a stack belongs, and that it adds up."""

import json

import pytest
from support.benches import BENCHMARKS, LONGEST, module, run

pytestmark = pytest.mark.timeout(1.1 * LONGEST)

parts = module("parts")


@pytest.mark.parametrize(
    ("stack", "part"),
    [
        (["antq_actors/storage/format/encoding.py", "antq_actors/storage/client.py"], "encoding"),
        (["/x/antq_actors/storage/format/encoding.py"], "encoding"),
        (["/usr/lib/python3.11/threading.py", "antq_actors/otp/kernel/mailbox.py"], "otp: mailbox"),
        (["antq_actors/otp/not_there_yet.py"], "otp"),
        (["noop.py", "antq_actors.jobs.perform.py"], "perform"),
        (["/usr/lib/python3.11/threading.py"], "other"),
        ([], "other"),
    ],
)
def test_a_stack_belongs_to_its_innermost_frame_that_is_ours(stack, part):
    assert part in parts.part_of(stack)


def test_every_file_of_the_table_is_there():
    root = BENCHMARKS.parent

    assert [path for path, _ in parts.PARTS if not list(root.glob(f"{path}*"))] == []


def test_the_profile_counts_the_whole_time_of_a_job(tmp_path):
    done = run("microseconds.py", "--short", "--sampler", "inside", "--json", tmp_path / "us.json")

    assert done.returncode == 0, done.stderr
    profiles = json.loads((tmp_path / "us.json").read_text())
    assert [sum(each["parts"].values()) >= 0.99 * each["whole"] for each in profiles] == [True] * 2
