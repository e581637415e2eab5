"""Creating and changing datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import Team, User
from apps.accounts.selectors import team_resolve
from apps.core import audit, clock, versions
from apps.core.errors import Conflict, FieldError, ValidationFailed
from apps.core.models import Visibility
from apps.core.permissions import teams_where
from apps.datasets.datasheet import sheet_fault
from apps.datasets.models import Dataset
from apps.datasets.retention import retention_end
from apps.datasets.services.access import dataset_locked, require_draft
from apps.datasets.services.metric_sets import metric_set_checked
from apps.datasets.types import DatasetStatus, DatasetType
from apps.governance.services import authorize

MAX_CHANGE_LOG = 20_000
MAX_METADATA_DEPTH = 32
_STEPS: Mapping[str, str] = {
    DatasetStatus.PENDING_REVIEW: "upload files and let the checks finish, then submit it",
    DatasetStatus.APPROVED: "upload files, let the checks finish, submit it, and let a reviewer approve it",
    DatasetStatus.REJECTED: "only a reviewer rejects, after it was submitted",
}
STATUS_SPELLINGS: Mapping[str, str] = {"under_review": DatasetStatus.PENDING_REVIEW}


def status_from(text: str) -> DatasetStatus:
    """A status in any accepted spelling. Raises ValidationFailed on the field ``status``."""
    try:
        return DatasetStatus(STATUS_SPELLINGS.get(text, text))
    except ValueError as error:
        known = ", ".join(DatasetStatus)
        raise ValidationFailed.field("status", "invalid_choice", f"status must be one of {known}.") from error


def dataset_create(
    *,
    actor: User | None,
    name: str,
    version: str,
    dataset_type: str,
    owner_team: object = "",
    change_log: str = "",
    metadata: dict[str, Any] | None = None,
    storage_uri: str = "",
    visibility: str = Visibility.TEAM,
    status: str = DatasetStatus.DRAFT,
    team: Team | None = None,
    source_dataset: Dataset | None = None,
    derivation: dict[str, Any] | None = None,
    metrics: Sequence[str] | None = None,
) -> Dataset:
    """Register a new dataset (a draft without files).

    ``owner_team`` is a team's slug, name or id; without it the one team in which ``actor`` may create is
    taken. ``storage_uri`` is recorded as provenance and never read from. ``metrics`` is the metric set of a benchmark;
    what is derived from one has its source's.

    Raises ValidationFailed (naming every wrong field), PermissionRefused, or Conflict (the version exists; or
    a ``status`` that cannot be had by creating).
    """
    wanted = status_from(status)
    errors = _field_errors(
        name=name,
        version=version,
        type=dataset_type,
        change_log=change_log,
        metadata=metadata or {},
        storage_uri=storage_uri,
        visibility=visibility,
    )
    if metrics is None:
        metric_set = list(source_dataset.metric_set) if source_dataset is not None else []
    else:
        metric_set, wrong = metric_set_checked(metrics, dataset_type)
        errors += wrong
    if team is None:
        team = _owner_team(actor, owner_team, errors)
    if errors:
        raise ValidationFailed(f"{errors[0].field}: {errors[0].message}", errors=errors)
    context = {"type": dataset_type, "name": name, "version": version}
    authorize(actor=actor, action="dataset.create", team=team, context=context)
    if wanted != DatasetStatus.DRAFT:
        raise Conflict(
            f"A dataset cannot be created as {wanted.value}: create it as draft, then {_STEPS[wanted]}.",
            errors=[FieldError("status", "step_missing", f"Create it as draft, then {_STEPS[wanted]}.")],
        )
    dataset = Dataset(
        team=team,
        created_by=actor,
        name=name.strip(),
        version=version,
        type=dataset_type,
        change_log=change_log,
        metadata=metadata or {},
        provenance_uri=storage_uri,
        visibility=visibility,
        source_dataset=source_dataset,
        derivation=derivation or {},
        metric_set=metric_set,
        created_at=clock.now(),
    )
    dataset.retention_until = retention_end(dataset)
    with transaction.atomic():
        _save_unique(dataset)
        audit.record(
            actor=actor,
            action="datasets.dataset.created",
            resource=dataset,
            metadata={"name": dataset.name, "version": version, "type": dataset_type, **(derivation or {})},
        )
    return dataset


def dataset_update(*, actor: User | None, dataset_id: object, **changes: Any) -> Dataset:
    """Change the description of a draft: name, version, type, change_log, metadata, storage_uri, visibility, metrics.

    Version and type are fixed once files are there. Visibility may change at any time: it is no part of what
    was approved. Raises NotFound, PermissionRefused, ValidationFailed, Conflict.
    """
    changes = {key: value for key, value in changes.items() if value is not None}
    with transaction.atomic():
        dataset = dataset_locked(actor=actor, dataset_id=dataset_id, action="dataset.change", context=changes)
        if set(changes) - {"visibility"}:
            require_draft(dataset, "be changed")
        metrics = changes.pop("metrics", None)
        errors = _field_errors(**changes)
        if metrics is not None or "type" in changes:
            # A type that is no benchmark's any more takes no metrics along.
            asked = metrics if metrics is not None else []
            wanted, wrong = metric_set_checked(asked, changes.get("type", dataset.type))
            errors += wrong
            if metrics is not None or changes["type"] != dataset.type:
                dataset.metric_set = wanted
                changes["metric_set"] = wanted
        for fixed in ("version", "type"):
            if dataset.has_files and fixed in changes and changes[fixed] != getattr(dataset, fixed):
                errors.append(
                    FieldError(fixed, "fixed", f"The {fixed} is fixed once files are uploaded: create a new dataset.")
                )
        if errors:
            raise ValidationFailed(f"{errors[0].field}: {errors[0].message}", errors=errors)
        names = {"storage_uri": "provenance_uri"}
        for key, value in changes.items():
            setattr(dataset, names.get(key, key), value.strip() if key == "name" else value)
        if "metadata" in changes:
            dataset.retention_until, dataset.expired_at = retention_end(dataset), None
        if dataset.has_files:
            dataset.refresh_digest()
        _save_unique(dataset)
        if changes:
            audit.record(
                actor=actor,
                action="datasets.dataset.updated",
                resource=dataset,
                metadata={"changed": sorted(changes)},
            )
    return dataset


def _owner_team(actor: User | None, value: object, errors: list[FieldError]) -> Team | None:
    """The owning team; without any team to create in, the refusal is about permission, not about the
    field."""
    if actor is not None and not teams_where(actor, "dataset.create").exists():
        authorize(actor=actor, action="dataset.create")
    if actor is None:
        errors.append(FieldError("ownerTeam", "required", "Name the owning team."))
        return None
    try:
        return team_resolve(actor=actor, value=value, action="dataset.create", field="ownerTeam")
    except ValidationFailed as error:
        errors.extend(error.errors)
        return None


def _save_unique(dataset: Dataset) -> None:
    try:
        with transaction.atomic():
            dataset.save()
    except IntegrityError as error:
        message = (
            f"Team {dataset.team} has “{dataset.name}” in version {dataset.version} already "
            "(1.0, v1.0 and 1.0.0 are the same version). Raise the version or choose another name."
        )
        raise Conflict(message, errors=[FieldError("version", "not_unique", message)], code="not_unique") from error


def _field_errors(**values: Any) -> list[FieldError]:
    errors: list[FieldError] = []
    for field, value in values.items():
        message = _CHECKS[field](value)
        if message:
            outer = {"change_log": "changeLog", "storage_uri": "storageUri"}.get(field, field)
            errors.append(FieldError(outer, "required" if value in ("", None) else "invalid", message))
    return errors


def _check_name(value: Any) -> str:
    text = str(value).strip()
    if not text:
        return "A name is required."
    if len(text) > 200:
        return f"The name has {len(text)} characters; at most 200 are taken."
    if not text.isprintable():
        return "The name holds control or invisible characters."
    return ""


def _check_version(value: Any) -> str:
    try:
        versions.parse(value)
    except versions.InvalidVersion as error:
        return str(error)
    return ""


def _check_type(value: Any) -> str:
    return "" if value in set(DatasetType) else f"type must be one of {', '.join(DatasetType)}."


def _check_text(limit: int) -> Any:
    def check(value: Any) -> str:
        if "\x00" in value:
            return "The text holds a NUL character. Remove it."
        return "" if len(value) <= limit else f"The text has {len(value):,} characters; at most {limit:,} are taken."

    return check


def _check_metadata(value: Any) -> str:
    if not isinstance(value, dict):
        return "metadata must be a JSON object."
    if fault := sheet_fault(value):
        return fault
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_METADATA_DEPTH:
            return f"metadata is nested deeper than {MAX_METADATA_DEPTH} levels."
        if isinstance(item, str) and "\x00" in item:
            return "metadata holds a NUL character (\\u0000). Remove it."
        if isinstance(item, dict):
            stack.extend((inner, depth + 1) for pair in item.items() for inner in pair)
        elif isinstance(item, list):
            stack.extend((inner, depth + 1) for inner in item)
    return ""


def _check_visibility(value: Any) -> str:
    return "" if value in set(Visibility) else "visibility must be team or organisation."


_CHECKS: Mapping[str, Any] = {
    "name": _check_name,
    "version": _check_version,
    "type": _check_type,
    "change_log": _check_text(MAX_CHANGE_LOG),
    "storage_uri": _check_text(2_000),
    "metadata": _check_metadata,
    "visibility": _check_visibility,
}
