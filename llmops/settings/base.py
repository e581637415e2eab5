"""Settings shared by every environment. All outside values come from ``llmops.env``."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from llmops.env import BASE_DIR, env, pairs, read_files
from llmops.settings.logging import configure_logging

read_files()

VAR_DIR: Path = env("LLMOPS_VAR_DIR")


def _secret_key() -> str:
    """The configured key, else one generated once under ``var/`` and readable by its owner only."""
    if configured := env("SECRET_KEY"):
        return str(configured)
    path = VAR_DIR / "secret_key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        if not path.read_text():
            path.write_text(secrets.token_urlsafe(64))
    return path.read_text().strip()


SECRET_KEY = _secret_key()
ENCRYPTION_KEYS: list[str] = env("LLMOPS_ENCRYPTION_KEYS")
DEBUG: bool = env("DEBUG")
ALLOWED_HOSTS: list[str] = env("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS: list[str] = env("CSRF_TRUSTED_ORIGINS")
PUBLIC_URL: str = env("LLMOPS_PUBLIC_URL").rstrip("/")
ENVIRONMENT: str = env("LLMOPS_ENVIRONMENT")

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "guardian",
    "django_filters",
    "django_htmx",
    "template_partials",
    "django_celery_beat",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "apps.core",
    "apps.accounts",
    "apps.integrations",
    "apps.governance",
    "apps.compute",
    "apps.datasets",
    "apps.catalog",
    "apps.training",
    "apps.serving",
    "apps.gateway",
    "apps.evaluation",
    "apps.portal",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "apps.core.middleware.RequestIdMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "apps.core.web.middleware.HtmxMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.core.middleware.ContentSecurityPolicyMiddleware",
    "apps.core.middleware.DomainErrorMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ICONS_DIR = BASE_DIR / "node_modules/@tabler/icons/icons"

ROOT_URLCONF = "llmops.urls"
WSGI_APPLICATION = "llmops.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.core.context.portal",
            ],
        },
    },
]

# Databases and caches


def _database() -> dict[str, Any]:
    url = env("DATABASE_URL")
    if not url:
        # Checks, schema and linting work without a server; the first query says what is missing.
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "llmops",
            "HOST": "/nonexistent-run-make-services",
        }
    config = environ.Env.db_url_config(url)
    if config.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured("DATABASE_URL must be a postgres:// address: PostgreSQL is the one database.")
    config["CONN_MAX_AGE"] = env("LLMOPS_DATABASE_CONN_MAX_AGE")
    config["CONN_HEALTH_CHECKS"] = True
    return dict(config)


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL: str = env("REDIS_URL")
CACHES: dict[str, Any] = {
    "default": (
        {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "llmops",
        }
        if REDIS_URL
        else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    )
}

# Celery


def _broker_url(url: str) -> str:
    """Celery spells a unix socket in its own way: redis+socket:///path?virtual_host=0."""
    if not url.startswith("unix://"):
        return url or "memory://"
    parts = urlsplit(url)
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"


CELERY_BROKER_URL = _broker_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "llmops"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 7200,
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
}
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_USER_ID_FIELD = "username"

# Identity

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "portal:home"
LOGOUT_REDIRECT_URL = "accounts:sign-in"
SESSION_COOKIE_AGE = env("LLMOPS_SESSION_HOURS") * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "apps.core.web.handlers.csrf_failure"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
if env("LLMOPS_BEHIND_TLS_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

SIGN_IN_MAX_FAILURES: int = env("LLMOPS_SIGN_IN_MAX_FAILURES")
SIGN_IN_WAIT_SECONDS: int = env("LLMOPS_SIGN_IN_WAIT_SECONDS")
TOKEN_MAX_DAYS: int = env("LLMOPS_TOKEN_MAX_DAYS")
TOKEN_DEFAULT_DAYS: int = env("LLMOPS_TOKEN_DEFAULT_DAYS")

# Governance

POLICY_CHECK_SECONDS: float = env("LLMOPS_POLICY_CHECK_SECONDS")
COST_CURRENCY: str = env("LLMOPS_COST_CURRENCY")

# Language and time

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = env("LLMOPS_TIME_ZONE")

# Files

STORAGE_URL: str = env("STORAGE_URL") or f"file://{VAR_DIR / 'store'}"
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
_NODE = BASE_DIR / "node_modules"
STATICFILES_DIRS: list[Any] = [
    BASE_DIR / "static",
    *(
        (f"vendor/{name}", _NODE / folder)
        for name, folder in {
            "tabler": "@tabler/core/dist",
            "htmx": "htmx.org/dist",
            "htmx-ext-sse": "htmx-ext-sse/dist",
            "echarts": "echarts/dist",
            "tom-select": "tom-select/dist",
        }.items()
        if (_NODE / folder).is_dir()
    ),
]
STORAGES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(VAR_DIR / "media")},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
FILE_UPLOAD_TEMP_DIR = str(VAR_DIR / "tmp")
(VAR_DIR / "tmp").mkdir(parents=True, exist_ok=True)
DATA_UPLOAD_MAX_MEMORY_SIZE = env("LLMOPS_API_MAX_BODY_BYTES")
DATA_UPLOAD_MAX_NUMBER_FILES = 1000
UPLOAD_MAX_FILE_BYTES: int = env("LLMOPS_UPLOAD_MAX_FILE_BYTES")
UPLOAD_INLINE_BYTES: int = env("LLMOPS_UPLOAD_INLINE_BYTES")
UPLOAD_CHUNK_BYTES: int = env("LLMOPS_UPLOAD_CHUNK_BYTES")
UPLOAD_HOURS: int = env("LLMOPS_UPLOAD_HOURS")
UPLOAD_MAX_OPEN: int = env("LLMOPS_UPLOAD_MAX_OPEN")
CATALOG_SCAN_MEMORY_BYTES: int = env("LLMOPS_CATALOG_SCAN_MEMORY_BYTES")
CATALOG_SCAN_SECONDS: int = env("LLMOPS_CATALOG_SCAN_SECONDS")
CATALOG_FAMILIES: list[str] = env("LLMOPS_CATALOG_FAMILIES")
SIGNING_DIR: str = env("LLMOPS_SIGNING_DIR")
SIGNING_MAKES_KEY = True  # where there is none; several machines would each make their own
SIGNING_VERIFY_HOURS: int = env("LLMOPS_SIGNING_VERIFY_HOURS")
CATALOG_LAPSE_STOPS: list[str] = env("LLMOPS_CATALOG_LAPSE_STOPS")
IDEMPOTENCY_HOURS: int = env("LLMOPS_IDEMPOTENCY_HOURS")

# Datasets

DATASETS_QUALITY_THRESHOLD: float = env("LLMOPS_DATASETS_QUALITY_THRESHOLD")
DATASETS_QUALITY_THRESHOLDS: dict[str, float] = pairs("LLMOPS_DATASETS_QUALITY_THRESHOLDS", float)
DATASETS_QUALITY_WEIGHTS: dict[str, float] = pairs("LLMOPS_DATASETS_QUALITY_WEIGHTS", float)
DATASETS_CHECK_MEMORY_BYTES: int = env("LLMOPS_DATASETS_CHECK_MEMORY_BYTES")
DATASETS_PII_NER: bool = env("LLMOPS_DATASETS_PII_NER")
DATASETS_PII_NER_MODEL: str = env("LLMOPS_DATASETS_PII_NER_MODEL")
DATASETS_PII_NER_KINDS: list[str] = env("LLMOPS_DATASETS_PII_NER_KINDS")
DATASETS_PII_NER_THRESHOLD: float = env("LLMOPS_DATASETS_PII_NER_THRESHOLD")
DATASETS_PII_NER_ROWS: int = env("LLMOPS_DATASETS_PII_NER_ROWS")
DATASETS_PII_CONFIDENCE: float = env("LLMOPS_DATASETS_PII_CONFIDENCE")
DATASETS_PII_FINDINGS: int = env("LLMOPS_DATASETS_PII_FINDINGS")
DATASETS_MAX_FILES: int = env("LLMOPS_DATASETS_MAX_FILES")
DATASETS_MAX_COLUMNS: int = env("LLMOPS_DATASETS_MAX_COLUMNS")
DATASETS_MAX_CELL_CHARACTERS: int = env("LLMOPS_DATASETS_MAX_CELL_CHARACTERS")
DATASETS_MAX_UNPACKED_BYTES: int = env("LLMOPS_DATASETS_MAX_UNPACKED_BYTES")
DATASETS_READ_MEMORY_BYTES: int = env("LLMOPS_DATASETS_READ_MEMORY_BYTES")
DATASETS_COMPARE_INLINE_ROWS: int = env("LLMOPS_DATASETS_COMPARE_INLINE_ROWS")
DATASETS_COMPARE_MEMORY_BYTES: int = env("LLMOPS_DATASETS_COMPARE_MEMORY_BYTES")
DATASETS_DERIVE_INLINE_ROWS: int = env("LLMOPS_DATASETS_DERIVE_INLINE_ROWS")
DATASETS_RETENTION_DELETE: str = env("LLMOPS_DATASETS_RETENTION_DELETE")
DATASETS_RETENTION_GRACE_DAYS: int = env("LLMOPS_DATASETS_RETENTION_GRACE_DAYS")

# Evaluation

EVALUATION_CPU: float = env("LLMOPS_EVALUATION_CPU")
EVALUATION_MEMORY_BYTES: int = env("LLMOPS_EVALUATION_MEMORY_BYTES")
EVALUATION_TIME_LIMIT_SECONDS: int = env("LLMOPS_EVALUATION_TIME_LIMIT_SECONDS")
EVALUATION_BATCH_SIZE: int = env("LLMOPS_EVALUATION_BATCH_SIZE")
EVALUATION_MAX_NEW_TOKENS: int = env("LLMOPS_EVALUATION_MAX_NEW_TOKENS")
EVALUATION_MAX_SAMPLES: int = env("LLMOPS_EVALUATION_MAX_SAMPLES")
EVALUATION_REVIEW_SAMPLES: int = env("LLMOPS_EVALUATION_REVIEW_SAMPLES")
EVALUATION_GATE_AUTOMATED: int = env("LLMOPS_EVALUATION_GATE_AUTOMATED")
EVALUATION_GATE_HUMAN: int = env("LLMOPS_EVALUATION_GATE_HUMAN")

# The Hugging Face Hub

HF_ENDPOINT: str = env("HF_ENDPOINT")
HF_TOKEN: str = env("HF_TOKEN")
LLMOPS_HUB_MAX_BYTES: int = env("LLMOPS_HUB_MAX_BYTES")
LLMOPS_HUB_ATTEMPTS: int = env("LLMOPS_HUB_ATTEMPTS")

# Serving and gateway

LLMOPS_CONNECTION_TEST_SECONDS: float = env("LLMOPS_CONNECTION_TEST_SECONDS")
LLMOPS_OUTBOUND_ALLOW: list[str] = env("LLMOPS_OUTBOUND_ALLOW")
SERVING_USE_GPU: bool = env("SERVING_USE_GPU")
SERVING_GPU_COUNT: int = env("SERVING_GPU_COUNT")
SERVING_DEFAULT_FRAMEWORK: str = env("SERVING_DEFAULT_FRAMEWORK")
SERVING_RUNTIME_IMAGES: list[str] = env("SERVING_RUNTIME_IMAGES")
SERVING_LIMITS: dict[bool, dict[str, str]] = {
    use_gpu: {
        name.lower(): env(f"SERVING_{kind}{name}")
        for name in ("CPU_REQUEST", "CPU_LIMIT", "MEMORY_REQUEST", "MEMORY_LIMIT")
    }
    for use_gpu, kind in ((True, ""), (False, "CPU_ONLY_"))
}
SERVING_CACHE_TOKENS: int = env("SERVING_CACHE_TOKENS")
SERVING_START_SECONDS: int = env("SERVING_START_SECONDS")
SERVING_WARM_UP_SECONDS: int = env("SERVING_WARM_UP_SECONDS")
SERVING_MAX_RESTARTS: int = env("SERVING_MAX_RESTARTS")
SERVING_HEALTH_SECONDS: int = env("SERVING_HEALTH_SECONDS")
LLMOPS_GATEWAY_CACHE_SECONDS: float = env("LLMOPS_GATEWAY_CACHE_SECONDS")
LLMOPS_GATEWAY_MAX_BODY_BYTES: int = env("LLMOPS_GATEWAY_MAX_BODY_BYTES")
LLMOPS_GATEWAY_MAX_OUTPUT_TOKENS: int = env("LLMOPS_GATEWAY_MAX_OUTPUT_TOKENS")
LLMOPS_GATEWAY_CONNECT_SECONDS: float = env("LLMOPS_GATEWAY_CONNECT_SECONDS")
LLMOPS_GATEWAY_SILENCE_SECONDS: float = env("LLMOPS_GATEWAY_SILENCE_SECONDS")
LLMOPS_GATEWAY_FLUSH_SECONDS: float = env("LLMOPS_GATEWAY_FLUSH_SECONDS")
LLMOPS_GATEWAY_DATABASE_THREADS: int = env("LLMOPS_GATEWAY_DATABASE_THREADS")
# Training

TRAINING_GPU_TYPES: list[str] = env("TRAINING_GPU_TYPES")
TRAINING_LIMITS: dict[bool, dict[str, str]] = {
    use_gpu: {
        name.lower(): env(f"TRAINING_{kind}{name}")
        for name in ("CPU_REQUEST", "CPU_LIMIT", "MEMORY_REQUEST", "MEMORY_LIMIT")
    }
    for use_gpu, kind in ((True, ""), (False, "CPU_ONLY_"))
}
TRAINING_MAX_MINUTES: int = env("TRAINING_MAX_MINUTES")
TRAINING_THREADS: int = env("TRAINING_THREADS")
API_BASE_URL: str = (env("API_BASE_URL") or PUBLIC_URL).rstrip("/")

# Compute

LLMOPS_COMPUTE_BACKEND: str = env("LLMOPS_COMPUTE_BACKEND")
LLMOPS_LOCAL_MAX_JOBS: int = env("LLMOPS_LOCAL_MAX_JOBS")
LLMOPS_LOCAL_MAX_ENDPOINTS: int = env("LLMOPS_LOCAL_MAX_ENDPOINTS")
LLMOPS_LOCAL_GPUS: int = env("LLMOPS_LOCAL_GPUS")
LLMOPS_LOCAL_KEEP_HOURS: int = env("LLMOPS_LOCAL_KEEP_HOURS")
LLMOPS_LOCAL_PORTS: str = env("LLMOPS_LOCAL_PORTS")

# API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.accounts.api.authentication.TokenAuthentication",
        "apps.accounts.api.authentication.PortalSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["apps.core.api.renderers.EnvelopeRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.core.api.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "apps.core.api.negotiation.LenientNegotiation",
    "DEFAULT_SCHEMA_CLASS": "apps.core.api.schema.PortalSchema",
    "EXCEPTION_HANDLER": "apps.core.api.exceptions.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "LLM Ops Portal",
    "DESCRIPTION": "The governed life of a language model: datasets, training, evaluation, approval, serving, cost.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/llm-ops/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    # Enumerations stay where they are used: many entities have a "status" of their own.
    "POSTPROCESSING_HOOKS": ["apps.gateway.openapi.add_gateway_paths"],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}

# Content-Security-Policy: strict for pages; admin (Alpine) and API docs (Swagger UI) are the documented exceptions.

CSP_STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'self'; manifest-src 'self'"
)
CSP_RELAXED = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'self'; worker-src 'self' blob:"
)
CSP_RELAXED_PREFIXES = ("/admin/", "/api/docs/", "/api/redoc/")

UNFOLD = {
    "SITE_TITLE": "LLM Ops Portal",
    "SITE_HEADER": "LLM Ops Portal",
    "SITE_SUBHEADER": "Operators",
    "SITE_URL": "/",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": True,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("images/mark.svg")},
    ],
    # The portal's accent (static/css/portal.css), in Tailwind's steps.
    "COLORS": {
        "primary": {
            step: f"oklch({lightness}% {chroma} 262)"
            for step, lightness, chroma in (
                ("50", 97, 0.014),
                ("100", 94, 0.03),
                ("200", 89, 0.06),
                ("300", 81, 0.1),
                ("400", 71, 0.14),
                ("500", 60, 0.17),
                ("600", 48, 0.17),
                ("700", 42, 0.17),
                ("800", 36, 0.14),
                ("900", 31, 0.1),
                ("950", 24, 0.07),
            )
        }
    },
}

LOGGING = configure_logging(level=env("LLMOPS_LOG_LEVEL"), fmt=env("LLMOPS_LOG_FORMAT"))
LOGGING_CONFIG = "logging.config.dictConfig"
SILENCED_SYSTEM_CHECKS: list[str] = []
