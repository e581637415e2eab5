"""What can be said about a submission without looking anything up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from apps.training.services.problems import Problems
from apps.training.services.resources import whole_number
from apps.training.types import JobRequest, JobType

MAX_RETRIES = 3
DEFAULT_RETRIES = 1
DEFAULT_BACKOFF = 30
MAX_BACKOFF = 86_400
MAX_DEPTH = 12


def check_shape(request: JobRequest, problems: Problems) -> None:
    """Required fields, known words, objects where objects belong, nothing that PostgreSQL cannot keep."""
    if request.job_type not in JobType.values:
        known = ", ".join(JobType.values)
        code = "invalid_choice" if request.job_type else "required"
        problems.add("jobType", code, f"jobType must be one of {known}.")
    if not request.dataset_id:
        problems.add("datasetId", "required", "Name the dataset to train on.")
    for name, value in (
        ("hyperparameters", request.hyperparameters),
        ("resourceProfile", request.resource_profile),
        ("retryPolicy", request.retry_policy),
        ("trainJobSpec", request.train_job_spec),
        ("notifications", request.notifications),
    ):
        optional = name == "notifications" or (name == "trainJobSpec" and value is None)
        if not optional and not isinstance(value, Mapping):
            problems.add(name, "invalid", f"{name} must be an object.")
        elif not _storable(value):
            problems.add(name, "invalid", f"{name} is nested too deeply or holds a NUL character.")


def _storable(value: Any, depth: int = 0) -> bool:
    """Whether PostgreSQL can keep it: no NUL characters, no absurd depth."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(value, str):
        return "\x00" not in value
    if isinstance(value, Mapping):
        return all(_storable(key, depth + 1) and _storable(item, depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return all(_storable(item, depth + 1) for item in value)
    return True


def read_retry(policy: Mapping[str, Any], problems: Problems) -> tuple[int, int]:
    """Return retries and pause in seconds."""
    retries, backoff = policy.get("maxRetries"), policy.get("backoffSeconds")
    count = DEFAULT_RETRIES if retries is None else whole_number(retries)
    pause = DEFAULT_BACKOFF if backoff is None else whole_number(backoff)
    if count is None or not 0 <= count <= MAX_RETRIES:
        text = f"maxRetries must be a whole number between 0 and {MAX_RETRIES}."
        problems.add("retryPolicy.maxRetries", "invalid", text)
    if pause is None or not 0 <= pause <= MAX_BACKOFF:
        text = f"backoffSeconds must be a whole number between 0 and {MAX_BACKOFF}."
        problems.add("retryPolicy.backoffSeconds", "invalid", text)
    return count or 0, pause or 0


def check_address(url: str, problems: Problems) -> None:
    """The address that jobs post metrics to, if the request names one."""
    if not url:
        return
    text = "apiBaseUrl must be an http:// or https:// address without user name, query or fragment."
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and not (parts.username or parts.password or parts.query or parts.fragment)
            and (parts.port is None or 0 < parts.port < 65536)
            and url.isprintable()
            and " " not in url
            and len(url) <= 500
        )
    except ValueError:
        usable = False
    if not usable:
        problems.add("apiBaseUrl", "invalid", text)
