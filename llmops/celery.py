"""The Celery application; sweeps are declared by each app in ``schedule.py``."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.development")

APPS_WITH_TASKS = (
    "core",
    "core.uploads",
    "accounts",
    "governance",
    "compute",
    "datasets",
    "catalog",
    "training",
    "serving",
    "gateway",
    "evaluation",
)

app = Celery("llmops")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks([f"apps.{name}" for name in APPS_WITH_TASKS])


def collect_schedule() -> dict[str, dict[str, Any]]:
    """Beat entries of all apps: ``SCHEDULE = {"name": ("task.path", seconds | celery schedule)}``."""
    entries: dict[str, dict[str, Any]] = {}
    for name in APPS_WITH_TASKS:
        module_name = f"apps.{name}.schedule"
        if importlib.util.find_spec(module_name) is None:
            continue
        for key, (task, every) in importlib.import_module(module_name).SCHEDULE.items():
            entries[key] = {"task": task, "schedule": every}
    return entries


app.conf.beat_schedule = collect_schedule()


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Celery must not replace the logging that the settings configured."""
