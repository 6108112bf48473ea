"""Tasks of the site, as users write them."""

import asyncio
import threading
import time
from pathlib import Path

from django.apps import apps
from django.db import connection

from antq_actors import Unique

try:
    from django.tasks import signals, task
except ModuleNotFoundError:
    from django_tasks import signals, task

entered = threading.Event()
allowed = threading.Event()


class Broken(Exception):
    pass


@task
def add(one, other=0):
    return one + other


@task
async def add_async(one, other=0):
    return one + other


@task(takes_context=True)
def attempts(context):
    return [context.attempt, context.task_result.id, context.task_result.status]


@task
def fail(text="no"):
    raise Broken(text)


@task
def fail_with_a_class_of_its_own():
    class Own(Exception):
        pass

    raise Own


@task(takes_context=True, max_attempts=2, retry_delay=0)
def fail_once(context):
    if context.attempt == 1:
        raise Broken("the first time")
    return context.attempt


@task
def no_json():
    return object()


@task
def wait():
    entered.set()
    allowed.wait(60)


@task
def hang(file=None):
    """Hang; note in a file how the task is finished in a process of its own."""
    if file is not None:
        signals.task_finished.connect(
            lambda task_result, **_: Path(file).write_text(task_result.status), weak=False
        )
        Path(f"{file}.begun").touch()
    entered.set()
    while True:
        time.sleep(0.001)


@task
async def hang_async():
    entered.set()
    await asyncio.Event().wait()


@task(queue_name="mail", priority=7)
def send(to, copies=1):
    return f"sent to {to}"


@task
def in_process():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return [apps.ready, cursor.db.alias]


@task
def enqueues_in_process():
    return add.enqueue(2, other=3).id


@task(unique=Unique(args=["number"]))
def once(number, other=0):
    return number


@task
def asks_database():
    is_open = connection.connection is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return [is_open]


no_task = len
