"""Place and show orders."""

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from orders.jobs import send_receipt
from orders.models import Order


@csrf_exempt
@require_POST
@transaction.atomic
def place_order(request: HttpRequest) -> JsonResponse:
    order = Order.objects.create(email=request.GET["email"])
    # The job must not begin before it can read the order.
    transaction.on_commit(lambda: send_receipt.perform_async(order=order.id))
    return JsonResponse({"order": order.id}, status=202)


def show_order(request: HttpRequest, order: int) -> JsonResponse:
    found = get_object_or_404(Order, id=order)
    return JsonResponse({"email": found.email, "receipt_sent": found.receipt_sent})
