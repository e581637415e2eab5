"""The kernel: no domain, imported by everything, imports nothing of ours."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"
