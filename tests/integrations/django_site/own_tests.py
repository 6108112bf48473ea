"""Django's own tests of its backends, run against ours: own_tests.py FOLDER HOME.

FOLDER has the package ``tasks`` of Django's tests, HOME is for the files of the site. What fits no
backend that stores tasks is left out, in `LEFT_OUT`, with the reason.
"""

import asyncio
import logging
import sys
import unittest
from itertools import count
from pathlib import Path

import django
from django.conf import settings

FOLDER, HOME = sys.argv[1:3]
sys.path.insert(0, FOLDER)
settings.configure(
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["antq_actors.integrations.django"],
    TASKS={
        "default": {
            "BACKEND": "antq_actors.integrations.django.AntqBackend",
            "OPTIONS": {"PATH": Path(HOME) / "jobs"},
        }
    },
)
django.setup()
logging.getLogger("antq_actors").setLevel(logging.CRITICAL)  # tasks of theirs fail on purpose

from django.test import override_settings  # noqa: E402
from tasks import test_immediate_backend, test_tasks  # noqa: E402

from antq_actors.integrations.django import AntqBackend, site  # noqa: E402
from antq_actors.testing import drain  # noqa: E402

LEFT_OUT = {
    "test_using_correct_backend": "it names the class of the dummy, and its options",
    "test_get_backend": "the same",
    "test_throws_keyboard_interrupt": "no task is performed in the thread that enqueues it",
    "test_cannot_get_result": "results can be read",
    "test_cannot_refresh_result": "results can be read",
    "test_cannot_pass_run_after": "tasks can be scheduled",
    "test_validate_on_enqueue": "it names the immediate backend",
    "test_validate_on_aenqueue": "the same",
    "test_doesnt_wait_until_transaction_commit_by_default": "it names the immediate backend",
}


class Stored(AntqBackend):
    """The backend, with what Django's dummy has for its tests."""

    def clear(self):
        """Delete all tasks."""
        app = site.opened(self.alias, self.antq_params)
        for job in app.list_jobs():
            app.delete_job(job)

    @property
    def results(self):
        """The results of all tasks."""
        app = site.opened(self.alias, self.antq_params)
        return [self.get_result(str(job.id)) for job in app.list_jobs()]


class Inline(AntqBackend):
    """The backend, which performs each task before it returns, as the immediate one does."""

    def enqueue(self, task, args, kwargs):
        """Enqueue a task, and perform it in this thread by the real path of a job."""
        result = super().enqueue(task, args, kwargs)
        return self.perform(result)

    async def aenqueue(self, task, args, kwargs):
        """Do the same in a thread of its own, as a coroutine is performed in a loop of its own."""
        result = await asyncio.to_thread(super().enqueue, task, args, kwargs)
        return await asyncio.to_thread(self.perform, result)

    def perform(self, result):
        """Perform what waits in this thread; return the result, read again."""
        drain(self.app, raise_errors=False)
        result.refresh()
        return result


homes = count()


def described(backend, **more):
    """Return the settings of a backend in a new directory."""
    path = Path(HOME) / str(next(homes))
    return {"BACKEND": f"__main__.{backend.__name__}", "OPTIONS": {"PATH": path}, **more}


def fitting(cls):
    """Return a test case without the tests that do not fit."""
    return type(f"Our{cls.__name__}", (cls,), dict.fromkeys(LEFT_OUT))


@override_settings(
    TASKS={
        "default": described(Stored, QUEUES=["default", "queue_1"]),
        "immediate": described(Inline, QUEUES=[]),
        "missing": {"BACKEND": "does.not.exist"},
    }
)
class Tasks(fitting(test_tasks.TaskTestCase)):
    """Those of tasks."""


@override_settings(TASKS={"default": described(Inline, QUEUES=[])})
class Performed(fitting(test_immediate_backend.ImmediateBackendTestCase)):
    """Those of the immediate backend."""


if __name__ == "__main__":
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    suite = unittest.TestSuite([load(Tasks), load(Performed)])
    done = unittest.TextTestRunner(verbosity=2).run(suite)
    site.close_all()
    sys.stdout.write(f"{done.testsRun}\n")
    sys.exit(not done.wasSuccessful())
