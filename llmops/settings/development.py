"""A laptop, and what ``make run`` starts: embedded services, files under ``var/``, plain HTTP on loopback."""

from llmops.settings.base import *  # noqa: F403
