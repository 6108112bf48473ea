"""The settings of a Django project whose jobs work with its models."""

ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "bookshop.db",
        "OPTIONS": {"timeout": 30},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["orders"]
ROOT_URLCONF = "bookshop.urls"
SECRET_KEY = "only for this example"  # noqa: S105 - nothing here is signed
USE_TZ = True
