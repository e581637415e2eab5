"""The kernel: no domain, imported by everything, imports nothing of ours."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"

    def ready(self) -> None:
        """Answers kept for repeated requests may hold secrets, so they are encrypted."""
        from apps.core.crypto import register_encrypted

        register_encrypted("core.IdempotencyKey", "answer")
