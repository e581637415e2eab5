"""The test suite: real PostgreSQL and Valkey started by the test plugin, fast password hashing, eager tasks."""

import tempfile
from pathlib import Path

from llmops.settings.base import *  # noqa: F403

SECRET_KEY = "only-for-tests-" + "0" * 50
ENCRYPTION_KEYS: list[str] = []
ALLOWED_HOSTS = ["*"]
VAR_DIR = Path(tempfile.mkdtemp(prefix="llmops-test-"))
STORAGE_URL = f"file://{VAR_DIR / 'store'}"
FILE_UPLOAD_TEMP_DIR = str(VAR_DIR / "tmp")
(VAR_DIR / "tmp").mkdir()
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(VAR_DIR / "media")}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
