"""The shop on Django, in one file. Run: gunicorn shop.with_django:web.

For development: python -m shop.with_django runserver.
"""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.signals import request_started
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from antq_actors import JobNotFound, StorageError
from shop.jobs import app, write_receipt

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["localhost", "127.0.0.1"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}},
        MIDDLEWARE=["shop.with_django.JobErrors"],
        ROOT_URLCONF="shop.with_django",
        SECRET_KEY="only for this example",  # noqa: S106 - nothing here is signed
    )


def start_jobs(**_: object) -> None:
    app.start(queues=False)  # at the first request of this process; later calls do nothing


request_started.connect(start_jobs)


class JobErrors:
    """Respond 404 for a job that does not exist and 503 when a job was not stored."""

    def __init__(self, get_response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest):
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> JsonResponse | None:
        match error:
            case JobNotFound():
                return JsonResponse({"error": str(error)}, status=404)
            case StorageError():
                return JsonResponse({"error": "not accepted, try again later"}, status=503)
            case _:
                return None


@csrf_exempt
@require_POST
def request_receipt(request: HttpRequest, order: int) -> JsonResponse:
    jobs = []
    with transaction.atomic():
        # Write the rows of the order here. The job must not begin before they can be read.
        transaction.on_commit(
            lambda: jobs.append(
                write_receipt.perform_async(order=order, email=request.GET["email"])
            )
        )
    return JsonResponse({"id": jobs[0].id, "status": jobs[0].status}, status=202)


def show_job(request: HttpRequest, job_id: int) -> JsonResponse:
    job = app.get_job(job_id)
    return JsonResponse({"id": job.id, "status": job.status, "attempts": job.attempts})


urlpatterns = [
    path("orders/<int:order>/receipt", request_receipt),
    path("jobs/<int:job_id>", show_job),
]
web = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
