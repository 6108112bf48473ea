"""Jobs that are damaged, or that no key here can decrypt, have pages like others."""

from contextlib import closing
from html import unescape

import pytest
from dashboard.sites import OWN, site
from support.apps import until
from support.raw_jobs import put_garbage_for_state, put_spec

from antq_actors import AntQ, worker
from antq_actors.storage.lmdb.open_stores import open_environment

KEY = "ab" * 32


@worker(name="oddpage:Send", max_attempts=1)
def send(n):
    if n == 0:
        raise ValueError("no address of ann")


def stored(path, **options):
    """Store a failed job, two completed ones and two that wait."""
    with AntQ(path, queues={"default": 1}, **options) as app:
        app.enqueue_many(send, [{"n": n} for n in range(3)], meta={"tenant": "acme"})
        until(lambda: app.count_jobs(status=["failed", "completed"]) == 3)
        app.queue("default").pause()
        app.enqueue_many(send, [{"n": n} for n in range(2)])


def test_damaged_jobs_are_listed_and_have_pages(tmp_path):
    path = tmp_path / "jobs"
    stored(path)
    with closing(open_environment(path)) as env:
        env.write(lambda txn: put_garbage_for_state(txn, env.tables, 2))
        env.write(lambda txn: put_spec(txn, env.tables, 4, b"garbage"))

    with AntQ(path, start_queues=False) as app:
        client = site(app)
        listed = client.get("/jobs")
        pages = {id_: client.get(f"/jobs/{id_}") for id_ in (2, 4)}
        refused = client.post("/jobs/4/again", data={}, headers=OWN)

    assert listed.text.count('data-testid="job-row"') == 5
    assert {page.status_code for page in pages.values()} == {200}
    assert "what it was enqueued with is damaged on disk" in unescape(pages[4].text)
    assert refused.status_code == 409


def test_what_is_encrypted_is_not_shown(tmp_path):
    pytest.importorskip("cryptography")
    path, file = tmp_path / "jobs", tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    stored(path, encryption_key_file=file)

    with AntQ(path, start_queues=False) as app:
        client = site(app)
        listed, page = client.get("/jobs"), client.get("/jobs/1")

    for each in (listed, page):
        assert each.status_code == 200
        assert "<encrypted>" in unescape(each.text)
        assert "<encrypted>" not in each.text
        assert "acme" not in each.text
        assert "of ann" not in unescape(each.text)


def test_a_job_of_a_store_in_memory_has_no_command():
    with AntQ(queues={"default": 1}) as app:
        app.queue("default").pause()
        job = app.enqueue(send, {"n": 1})
        page = site(app).get(f"/jobs/{job.id}")

    assert "antq show" not in page.text
    assert f'data-copy="app.get_job({job.id})"' in page.text
