"""The page of Django's admin, with the real admin."""

from datetime import timedelta

import pytest
from django.contrib.messages import get_messages
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from support.django_sites import set_up, settings_of

from antq_actors import Status
from antq_actors.integrations.django import site
from antq_actors.integrations.django.compat import task_backends


@pytest.fixture(scope="module", autouse=True)
def _site(tmp_path_factory):
    with set_up(tmp_path_factory):
        call_command("migrate", run_syncdb=True, verbosity=0)
        yield


@pytest.fixture
def app(tmp_path):
    with override_settings(TASKS=settings_of(tmp_path / "jobs")):
        yield task_backends["default"].app


@pytest.fixture
def jobs(app):
    """The ids of a task that waits, and of one that is cancelled."""
    from django_site import tasks  # noqa: PLC0415 - once Django is set up

    later = timezone.now() + timedelta(hours=1)
    first, second = (int(tasks.send.using(run_after=later).enqueue(to).id) for to in ("<a>", "b"))
    app.cancel_job(second)
    return first, second


@pytest.fixture
def as_user():
    """A function that returns a client of a user of the staff with these permissions."""
    from django.contrib.auth.models import Permission, User  # noqa: PLC0415 - as above

    made = []

    def client(*permissions, **fields):
        user = User.objects.create(username=f"user {len(made)}", is_staff=True, **fields)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        made.append(user)
        client = Client()
        client.force_login(user)
        return client

    yield client
    for user in made:
        user.delete()


def page():
    return reverse("admin:antq_jobs")


def test_the_index_of_the_admin_links_the_page_for_those_who_may_view_jobs(as_user):
    link = f'href="{page()}"'

    assert page().startswith("/admin/antq/")
    assert link in as_user("view_job").get("/admin/").content.decode()
    assert link not in as_user().get("/admin/").content.decode()


def test_the_jobs_are_listed_and_shown(as_user, jobs):
    client = as_user("view_job")

    listed = client.get(page()).content.decode()
    cancelled = client.get(page(), {"status": "cancelled"}).content.decode()
    shown = client.get(f"{page()}{jobs[0]}/").content.decode()

    assert "django_site.tasks.send" in listed
    assert [f"{page()}{id_}/" in listed for id_ in jobs] == [True, True]
    assert [f"{page()}{id_}/" in cancelled for id_ in jobs] == [False, True]
    assert "scheduled" in shown
    assert "&lt;a&gt;" in shown
    assert "<a>" not in shown
    assert 'value="retry"' not in listed + shown


def test_a_queue_that_there_is_not_is_named_on_the_page(as_user, jobs):
    listed = as_user("view_job").get(page(), {"queue": "mial"})

    (said,) = get_messages(listed.wsgi_request)
    assert (listed.status_code, said.level_tag) == (200, "warning")
    assert "did you mean 'mail'?" in said.message
    assert not any(f"{page()}{id_}/" in listed.content.decode() for id_ in jobs)


@pytest.mark.parametrize("query", [{"status": "lost"}, {"before": "x"}, {"backend": "other"}])
def test_what_there_is_not_is_not_found(as_user, jobs, query):
    client = as_user("view_job")

    assert client.get(page(), query).status_code == 404
    assert client.get(f"{page()}{max(jobs) + 1}/").status_code == 404
    assert client.get(f"{page()}{2**70}/").status_code == 404


def test_a_user_without_the_permission_is_refused(as_user, app, jobs):
    nobody, viewer = as_user(), as_user("view_job")

    assert nobody.get(page()).status_code == 403
    assert nobody.get(f"{page()}{jobs[0]}/").status_code == 403
    for action in ("retry", "cancel", "delete", "no_action"):
        refused = viewer.post(page(), {"action": action, "job": jobs})
        assert refused.status_code == 403
    assert Client().get(page()).status_code == 302  # to the login
    assert app.get_job(jobs[0]).status is Status.SCHEDULED
    assert app.get_job(jobs[1]).status is Status.CANCELLED


def test_jobs_are_cancelled_retried_and_deleted(as_user, app, jobs):
    client = as_user("view_job", "change_job", "delete_job")

    cancelled = client.post(page(), {"action": "cancel", "job": jobs}, follow=True)
    after_cancel = app.get_job(jobs[0]).status
    retried = client.post(f"{page()}{jobs[1]}/", {"action": "retry"}, follow=True)
    after_retry = app.get_job(jobs[1]).status
    client.post(f"{page()}{jobs[0]}/", {"action": "delete"}, follow=True)

    assert (cancelled.status_code, retried.status_code) == (200, 200)
    assert (after_cancel, after_retry) == (Status.CANCELLED, Status.ENQUEUED)
    assert [job.id for job in app.list_jobs()] == [jobs[1]]


def test_what_cannot_be_done_is_reported(as_user, jobs):
    client = as_user("view_job", "change_job")

    said = client.post(page(), {"action": "retry", "job": jobs[0]}, follow=True).content.decode()

    assert f"Job {jobs[0]}: " in said
    assert "only failed" in said


def test_a_superuser_may_do_all(as_user, app, jobs):
    as_user(is_superuser=True).post(page(), {"action": "delete", "job": jobs})

    assert app.count_jobs() == 0
    assert site.backends()
