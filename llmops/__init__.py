"""The project: settings, URL table, entry points. Business code lives in ``apps``."""

from llmops.celery import app as celery_app

__all__ = ["celery_app"]
