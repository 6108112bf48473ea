"""Jobs that are damaged, or that no key here can decrypt, are shown as such and spoil no search."""

from contextlib import closing

import pytest
from support.apps import until
from support.raw_jobs import put_garbage_for_state, put_spec

from antq_actors import AntQ, worker
from antq_actors.insights import Insights
from antq_actors.insights.as_json import dump_json
from antq_actors.storage.lmdb.open_stores import open_environment

KEY = "ab" * 32


@worker(name="odd:Send", max_attempts=1)
def send(n):
    if n == 0:
        raise ValueError("no address of ann")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs"


def stored(path, **options):
    """Store a failed job, three completed ones and two that wait."""
    with AntQ(path, queues={"default": 1}, **options) as app:
        app.enqueue_many(send, [{"n": n} for n in range(4)], meta={"tenant": "acme"})
        until(lambda: app.count_jobs(status=["failed", "completed"]) == 4)
        app.queue("default").pause()
        app.enqueue_many(send, [{"n": n} for n in range(2)])


def test_damaged_jobs_are_shown_and_do_not_end_a_search(path):
    stored(path)
    with closing(open_environment(path)) as env:
        env.write(lambda txn: put_garbage_for_state(txn, env.tables, 2))
        env.write(lambda txn: put_spec(txn, env.tables, 5, b"garbage"))

    with AntQ(path, start_queues=False) as app:
        insights = Insights(app)
        for filter_ in ("", "-arg.n:9", "-worker:none -cron:*", "id:1..9 -meta.a:b -error:other"):
            page = insights.jobs(filter_)
            assert [item.id for item in page.items] == [6, 5, 4, 3, 2, 1]
            assert (page.count, page.exact) == (6, True)
        found = {item.id: item for item in page.items}
        assert (found[2].status, found[5].worker) == ("failed", "?")
        assert found[5].actions["again"] == "what it was enqueued with is damaged on disk"
        assert insights.jobs("arg.n:0").count == 1
        assert "damaged" in dump_json(insights.jobs("id:2"))
        assert [group.count for group in insights.errors().items] == [1]


def test_what_cannot_be_decrypted_holds_for_no_value(path, tmp_path):
    pytest.importorskip("cryptography")
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    stored(path, encryption_key_file=file)

    with AntQ(path, start_queues=False, encryption_key_file=file) as app:
        insights = Insights(app)
        assert insights.jobs("arg.n:0 error:ann meta.tenant:acme").count == 1
        assert insights.errors().items[0].text == "no address of ann"
    with AntQ(path, start_queues=False) as app:
        insights = Insights(app)
        for term in ("arg.n:*,0,1", 'error:""', "meta.tenant:*"):
            assert (insights.jobs(term).count, insights.jobs(f"-{term}").count) == (0, 6)
        shown = dump_json(insights.jobs("status:failed"))
        assert '"args": "<encrypted>"' in shown
        assert "no address" not in shown
        (group,) = insights.errors().items
        assert (group.text, group.frames, group.workers) == ("<encrypted>", (), ("odd:Send",))
