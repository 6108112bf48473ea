"""What needs attention: each rule finds what it is about, and nothing where all is well."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from antq_actors.insights.attention import Facts, attention
from antq_actors.insights.nodes import NodeView
from antq_actors.insights.queues import Pause, QueueSummary
from antq_actors.insights.rates import Rate
from antq_actors.insights.store import Done, Pages, ReaderView, StoreView

NOW = datetime(2030, 5, 1, 12, tzinfo=UTC)
QUEUE = QueueSummary(
    name="mail", paused=None, running=0, slots=5, waiting=3, due=3, oldest_due=NOW,
    per_minute=Rate(0, 0, 0), forecast=None, nodes=(1,), limits=(),
)  # fmt: skip
NODE = NodeView(
    node=1, pid=7, host="a", alive=True, started_at=NOW, version="1", queues={}, running=0,
    executors=(), skew=0.0, differences=(),
)  # fmt: skip
STORE = StoreView(
    path="jobs", bytes=1, map_bytes=1, fill=0.1, pages=Pages(4096, {}, 0), readers=(),
    last_txn=20_000, commit=None, pruned=None, backups=(Done(NOW, 0, "b"),), verify=None,
    signed=False, encrypted=False,
)  # fmt: skip
WELL = Facts(now=NOW, queues=(QUEUE,), nodes=(NODE,), store=STORE, is_volatile=False)


def rules(**changes):
    return [row.rule for row in attention(replace(WELL, **changes))]


def test_nothing_needs_attention_where_all_is_well():
    assert attention(WELL) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"queues": (replace(QUEUE, paused=Pause("ada", "deploy", NOW)),)}, "paused"),
        ({"queues": (replace(QUEUE, nodes=()),)}, "no_node"),
        ({"queues": (replace(QUEUE, oldest_due=NOW - timedelta(minutes=6)),)}, "late"),
        ({"nodes": (replace(NODE, alive=False, running=2),)}, "dead_node"),
        ({"nodes": (replace(NODE, differences=("It is older.",)),)}, "differences"),
        ({"nodes": (replace(NODE, skew=-1.5),)}, "skew"),
        ({"unknown_workers": (("mail", "shop:Send"),)}, "worker_unknown"),
        ({"supervisors_near_end": ("antq",)}, "budget"),
        ({"crowded": (("mail", 1),)}, "abandoned"),
        ({"store": replace(STORE, fill=0.81)}, "store_full"),
        ({"store": replace(STORE, readers=(ReaderView(9, 9_999, None),))}, "reader"),
        ({"store": replace(STORE, readers=(ReaderView(9, 19_990, 61.0),))}, "reader"),
        ({"store": replace(STORE, backups=(Done(NOW - timedelta(days=3), 0, "b"),))}, "backup"),
    ],
)
def test_a_rule_finds_what_it_is_about_and_says_what_to_do(changes, rule):
    (row,) = attention(replace(WELL, **changes))

    assert row.rule == rule
    assert row.text.endswith(".")
    assert row.fix
    assert row.target


@pytest.mark.parametrize(
    "changes",
    [
        {"queues": (replace(QUEUE, paused=Pause(None, None, None), due=0),)},
        {"queues": (replace(QUEUE, nodes=(), due=0),)},
        {"nodes": (replace(NODE, alive=False, skew=None),)},
        {"nodes": (replace(NODE, skew=0.9),)},
        {"store": replace(STORE, readers=(ReaderView(9, 19_990, 59.0),))},
        {"store": replace(STORE, readers=(ReaderView(9, None, None), ReaderView(9, 20_000, None)))},
        {"store": replace(STORE, backups=())},
    ],
)
def test_what_harms_nobody_needs_no_attention(changes):
    assert rules(**changes) == []


def test_what_stops_work_comes_first():
    late = replace(QUEUE, oldest_due=NOW - timedelta(hours=1))

    found = rules(queues=(late, replace(QUEUE, name="b", nodes=())))

    assert found == ["no_node", "late"]
