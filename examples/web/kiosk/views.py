"""Enqueue a task, and show what became of it."""

from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from antq_actors import StorageError
from kiosk.tasks import TaskResultDoesNotExist, write_receipt


@csrf_exempt
@require_POST
def request_receipt(request: HttpRequest, order: int) -> JsonResponse:
    try:
        result = write_receipt.enqueue(order=order, email=request.GET["email"])
    except StorageError:
        return JsonResponse({"error": "not accepted, try again later"}, status=503)
    return JsonResponse({"id": result.id, "status": result.status}, status=202)


def show_receipt(request: HttpRequest, result_id: str) -> JsonResponse:
    try:
        result = write_receipt.get_result(result_id)
    except TaskResultDoesNotExist as error:
        raise Http404 from error
    file = result.return_value if result.status == "SUCCESSFUL" else None
    return JsonResponse({"id": result.id, "status": result.status, "file": file})
