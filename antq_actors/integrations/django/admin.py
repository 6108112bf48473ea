"""The page of the admin: the jobs of a backend, to list, show, retry, cancel and delete.

It goes by the permissions of the model ``antq.Job``: to view, change and delete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode

from antq_actors.errors import AntqError, JobNotFound
from antq_actors.integrations.django import models, site, worker
from antq_actors.jobs.state import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors import AntQ, Job

PAGE_JOBS: Final = 100
"""How many jobs a page lists."""

_ACTIONS: Final = {"retry": "retry_job", "cancel": "cancel_job", "delete": "delete_job"}
"""What can be done with jobs, and the method of the application that does it."""
_LARGEST_ID: Final = 2**63 - 1


@admin.register(models.Job)
class JobAdmin(admin.ModelAdmin):
    """Shows the jobs of a backend, and changes them as its application does."""

    def get_urls(self) -> list[Any]:
        """Return the places of the pages, below ``/admin/antq/job/``."""
        jobs, job = self.admin_site.admin_view(self.jobs), self.admin_site.admin_view(self.job)
        return [
            path("", jobs, name="antq_jobs"),
            path("", jobs, name="antq_job_changelist"),
            path("<int:id_>/", job, name="antq_job_change"),
        ]

    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002 - whose it is
        """Return False: jobs are enqueued by code."""
        return False

    def jobs(self, request: Any) -> Any:
        """List the newest jobs; a POST retries, cancels or deletes those that were chosen."""
        alias, app = self._application(request)
        if request.method == "POST":
            self._act(request, app, request.POST.getlist("job"))
            return redirect(request.get_full_path())
        try:
            found, hints = app.antq_listed(_chosen(request.GET))
        except (TypeError, ValueError) as error:
            raise Http404(str(error)) from error
        for hint in hints:
            self.message_user(request, hint, messages.WARNING)
        context = {
            "jobs": [_row(job) for job in found[:PAGE_JOBS]],
            "next_before": found[PAGE_JOBS - 1].id if len(found) > PAGE_JOBS else None,
            "statuses": [status.value for status in Status],
            "status": request.GET.get("status", ""),
            "queue": request.GET.get("queue", ""),
            "backends": list(site.backends()),
            "backend": alias,
        }
        return self._page(request, "admin/antq/jobs.html", "Jobs", context)

    def job(self, request: Any, id_: int) -> Any:
        """Show a job; a POST retries, cancels or deletes it."""
        alias, app = self._application(request)
        if request.method == "POST":
            self._act(request, app, [str(id_)])
            if request.POST.get("action") == "delete":
                return redirect(f"{reverse('admin:antq_jobs')}?{urlencode({'backend': alias})}")
            return redirect(request.get_full_path())
        try:
            found = app.get_job(id_) if id_ <= _LARGEST_ID else None
        except JobNotFound:
            found = None
        if found is None:
            raise Http404(f"there is no job {id_}")
        fields = [(name, getattr(found, name)) for name in type(found).__struct_fields__]
        context = {
            "job": _row(found),
            "fields": [(name, value) for name, value in fields if name != "errors"],
            "errors": found.errors,
        }
        return self._page(request, "admin/antq/job.html", f"Job {id_}", context)

    def _application(self, request: Any) -> tuple[str, AntQ]:
        """Return the alias and application of the backend that is asked for.

        Raises PermissionDenied for who may not view jobs, Http404 for another backend.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        known = site.backends()
        alias = request.GET.get("backend") or next(iter(known), "")
        if alias not in known:
            raise Http404(f"TASKS has no backend of antq named {alias!r}")
        return alias, site.opened(alias, known[alias].antq_params)

    def _act(self, request: Any, app: AntQ, ids: list[str]) -> None:
        """Do with the jobs what was asked for, and report it. Raises PermissionDenied."""
        action = request.POST.get("action")
        may_change = self.has_change_permission(request)
        allowed = self.has_delete_permission(request) if action == "delete" else may_change
        if action not in _ACTIONS or not allowed:
            raise PermissionDenied
        change, done = getattr(app, _ACTIONS[action]), 0
        for id_ in ids:
            try:
                change(int(id_))
            except (AntqError, ValueError, OverflowError) as error:
                self.message_user(request, f"Job {id_}: {error}", messages.ERROR)
            else:
                done += 1
        if done:
            self.message_user(request, f"{action}: {done} of {len(ids)} jobs", messages.SUCCESS)

    def _page(self, request: Any, template: str, title: str, context: Mapping[str, Any]) -> Any:
        everywhere = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,  # noqa: SLF001 - as every page of the admin has it
            "title": title,
            "may_change": self.has_change_permission(request),
            "may_delete": self.has_delete_permission(request),
        }
        return TemplateResponse(request, template, {**everywhere, **context})


def _chosen(query: Any) -> Any:
    """Return which jobs a query asks for. Raises ValueError for what cannot be asked for."""
    kinds = {"status": Status, "queue": str, "before": int}
    chosen = {name: kind(query[name]) for name, kind in kinds.items() if query.get(name)}
    return {"limit": PAGE_JOBS + 1, "newest_first": True, **chosen}


def _row(job: Job) -> dict[str, Any]:
    """Return what the page shows of a job."""
    return {
        "id": job.id,
        "task": job.worker.removeprefix(worker.PREFIX),
        "queue": job.queue_name,
        "status": job.status.value,
        "attempts": f"{job.attempts}/{job.max_attempts}",
        "due": job.scheduled_at,
        "enqueued": job.inserted_at,
        "error": job.errors[0].summary if job.errors else "",
    }
