"""The address of the dashboard in a site of Django.

``path("antq/", include("antq_actors.web.django.urls"))``
"""

from antq_actors.integrations.django.dashboard import urlpatterns

__all__ = ["urlpatterns"]
