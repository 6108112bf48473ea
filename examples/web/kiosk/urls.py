"""The URLs of the kiosk."""

from django.urls import path

from kiosk import views

urlpatterns = [
    path("orders/<int:order>/receipt", views.request_receipt),
    path("receipts/<str:result_id>", views.show_receipt),
]
