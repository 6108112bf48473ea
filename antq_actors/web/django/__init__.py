"""The dashboard in a site of Django: ``path("antq/", include("antq_actors.web.django.urls"))``."""
