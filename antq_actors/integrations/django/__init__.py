"""The backend of ``django.tasks`` that keeps tasks as jobs, and ``manage.py antq``.

Put ``"antq_actors.integrations.django"`` into ``INSTALLED_APPS``, and into ``TASKS``::

    {"default": {"BACKEND": "antq_actors.integrations.django.AntqBackend",
                 "OPTIONS": {"PATH": BASE_DIR / "jobs"}}}

compat.py        django.tasks of Django, or that of the package django-tasks
site.py          the application that each backend has in this process, made of its OPTIONS
options.py       how a task is performed: by its decorator, and by OPTIONS["TASKS"]
worker.py        what performs a task as a job
results.py       a job as the result of a task
backend.py       the backend
connections.py   the middleware around every job: the database's connections
models.py        what the admin has permissions for; it has no table
admin.py         the page of the admin
"""

from antq_actors.integrations.django import compat  # noqa: F401 - first: it notices what is missing
from antq_actors.integrations.django.backend import AntqBackend, enqueue_on_commit

__all__ = ["AntqBackend", "enqueue_on_commit"]
