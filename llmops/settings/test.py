"""The test suite: real PostgreSQL and Valkey started by the test plugin, fast password hashing, eager tasks."""

from tests.support.servers import ensure_servers

ensure_servers()

from llmops.settings.base import *  # noqa: E402, F403
from llmops.settings.base import DATABASES, VAR_DIR  # noqa: E402

SECRET_KEY = "only-for-tests-" + "0" * 50
ENCRYPTION_KEYS = []
ALLOWED_HOSTS = ["*"]
DATABASES["default"]["CONN_MAX_AGE"] = 0
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(VAR_DIR / "media")},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
