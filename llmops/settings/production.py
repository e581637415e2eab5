"""A server: HTTPS only, secrets from the environment, nothing generated on the fly."""

from django.core.exceptions import ImproperlyConfigured

from llmops.env import env
from llmops.settings.base import *  # noqa: F403

if not env("SECRET_KEY"):
    raise ImproperlyConfigured("SECRET_KEY must be set in production: a long random text, kept outside the repository.")

DEBUG = False
SIGNING_MAKES_KEY = False
SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
