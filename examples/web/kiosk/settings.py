"""The settings of a Django project whose tasks are kept as jobs."""

from pathlib import Path

BASE_DIR = Path(__file__).parent.parent

ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS = ["antq_actors.integrations.django"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "kiosk.urls"
SECRET_KEY = "only for this example"  # noqa: S105 - nothing here is signed
TASKS = {
    "default": {
        "BACKEND": "antq_actors.integrations.django.AntqBackend",
        "OPTIONS": {"PATH": BASE_DIR / "jobs"},
    }
}
USE_TZ = True
