"""What other apps need of models: registering a job's output, getting the files, and being allowed to run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import Team, User
from apps.catalog.digest import model_digest
from apps.catalog.lineage import DATASET, JOB, MODEL
from apps.catalog.metadata import clean_metadata
from apps.catalog.models import ExternalSecret, ModelEntry, ModelSignature
from apps.catalog.scanning import classify, missing_files
from apps.catalog.services.external import needs_key
from apps.catalog.services.lineage import lineage_add
from apps.catalog.services.signing import require_intact
from apps.catalog.services.uploads import file_register, scan_start
from apps.catalog.types import LineageRelation, ModelStatus, ModelType, ScanStatus, SignatureStatus
from apps.core import audit
from apps.core.errors import FieldError, GateRefused, ValidationFailed
from apps.core.storage import file_chunks, store
from apps.core.transitions import get_locked
from apps.core.versions import next_patch, version_key

OUTPUT_FILES = 1_000


def model_register_output(
    *,
    name: str,
    version: str,
    team: Team,
    created_by: User | None,
    model_family: str,
    source_dir: Path,
    base_model_id: UUID | None,
    dataset_ids: Sequence[UUID],
    job_id: UUID,
    metadata: Mapping[str, Any] | None = None,
) -> ModelEntry:
    """Register the files in *source_dir* as the output of a job: a draft with lineage, scan on its way.

    Runs again after a crash without doubling anything: one model per job, one row per file. When the version is
    taken in the team, the next free patch version is used, because the training must not be lost over it.
    """
    filenames = _output_files(source_dir)
    model, fresh = _output_entry(
        name=name,
        version=version,
        team=team,
        created_by=created_by,
        model_family=model_family,
        type_=ModelType.FINE_TUNED if base_model_id else ModelType.BASE,
        job_id=job_id,
        metadata=clean_metadata(metadata or {}),
    )
    _output_lineage(model, base_model_id, dataset_ids, job_id, created_by)
    present = set(model.files.values_list("filename", flat=True))
    for filename in filenames:
        if filename in present:
            continue
        key = model.storage_prefix + filename
        with (source_dir / filename).open("rb") as file:
            stored = store().put(key, file_chunks(file))
        file_register(model=model, filename=filename, stored=stored, key=key, actor=created_by)
    if fresh or set(filenames) - present:
        with transaction.atomic():
            model = get_locked(ModelEntry.objects.all(), model.pk)
            scan_start(actor=created_by, model=model)
    return model


def _output_files(source_dir: Path) -> list[str]:
    """Names of the model files directly in *source_dir*; checkpoints and logs are left out."""
    names = sorted(path.name for path in source_dir.iterdir() if path.is_file() and not path.is_symlink())
    names = [name for name in names if classify(name) is not None][:OUTPUT_FILES]
    lacking = missing_files(names)
    if lacking:
        raise ValidationFailed.field("files", "missing", f"The output lacks: {', '.join(lacking)}.")
    return names


@transaction.atomic
def _output_entry(
    *,
    name: str,
    version: str,
    team: Team,
    created_by: User | None,
    model_family: str,
    type_: str,
    job_id: UUID,
    metadata: dict[str, Any],
) -> tuple[ModelEntry, bool]:
    # The team's row orders concurrent registrations, so that two jobs don't take the same free version.
    Team.objects.select_for_update().get(pk=team.pk)
    known = ModelEntry.objects.filter(source_job_id=job_id).first()
    if known is not None:
        return known, False
    taken = set(ModelEntry.objects.filter(team=team, name=name, type=type_).values_list("version_key", flat=True))
    while version_key(version) in taken:
        version = next_patch(version)
    model = ModelEntry.objects.create(
        team=team,
        created_by=created_by,
        name=name,
        version=version,
        version_key=version_key(version),
        type=type_,
        model_family=model_family,
        metadata=metadata,
        source_job_id=job_id,
    )
    audit.record(
        actor=created_by,
        action="catalog.model.created",
        resource=model,
        metadata={"name": name, "version": version, "type": type_, "job": str(job_id)},
    )
    return model, True


def _output_lineage(
    model: ModelEntry,
    base_model_id: UUID | None,
    dataset_ids: Sequence[UUID],
    job_id: UUID,
    actor: User | None,
) -> None:
    sources = [(DATASET, pk, LineageRelation.TRAINED_ON) for pk in dataset_ids]
    sources.append((JOB, job_id, LineageRelation.PRODUCED_BY))
    if base_model_id is not None:
        sources.append((MODEL, base_model_id, LineageRelation.DERIVED_FROM))
    for kind, pk, relation in sources:
        lineage_add(
            source_kind=kind,
            source_id=pk,
            target_kind=MODEL,
            target_id=model.pk,
            relation=relation,
            actor=actor,
        )


def model_materialise(*, model: ModelEntry, destination: Path) -> Path:
    """Put the model's files into *destination* (hard links where the store is local) and return it.

    Every byte is checked against the registered SHA-256 and, where the model is approved, against its signature;
    ``GateRefused`` when one differs. Readers must not write into the files: they may be the store's own.
    """
    if model.is_external:
        raise GateRefused(f"{model} runs at its provider; there are no files to take.")
    _refuse_broken(model)
    destination.mkdir(parents=True, exist_ok=True)
    rows = {row.filename: row for row in model.files.all()}
    for path in store().download_prefix(model.storage_prefix, destination):
        if path.name not in rows:
            path.unlink()
    require_intact(model=model, folder=destination, rows=list(rows.values()))
    return destination


def model_require_intact_copy(*, model: ModelEntry, folder: Path) -> None:
    """Raise ``GateRefused`` unless the files that were put into *folder* before are still the model's, and signed."""
    require_intact(model=model, folder=folder, rows=list(model.files.all()))


def _refuse_broken(model: ModelEntry) -> None:
    errors = _signature_errors(model)
    if errors:
        raise GateRefused(f"{model} cannot be used: {errors[0].message}", errors=errors, code="file_changed")


def _signature_errors(model: ModelEntry) -> list[FieldError]:
    """Why the model's files must not be used, if they were found changed; a draft gets over it by new files."""
    row = ModelSignature.objects.filter(model=model, status=SignatureStatus.BROKEN).first()
    if row is None:
        return []
    what = " ".join(row.problems[:3])
    message = f"The stored files of {model} are not the ones that were approved: {what} Upload them again."
    return [FieldError("files", "signature_broken", message)]


def model_require_runnable(*, model: ModelEntry) -> None:
    """Raise ``GateRefused`` with every reason unless the model may be loaded at all (also as a draft).

    Internal models need complete files that were scanned safe; external ones their address and, where the
    provider insists, a key.
    """
    _refuse(model, "run", _not_runnable(model))


def model_require_deployable(*, model: ModelEntry) -> None:
    """Raise ``GateRefused`` with every reason unless the model may be deployed: approved, unchanged, runnable."""
    errors = _not_runnable(model)
    if model.status != ModelStatus.APPROVED:
        errors.insert(0, FieldError("status", "not_approved", f"{model} is {model.status}; it must be approved first."))
    elif model.digest != model_digest(model):
        errors.insert(
            0, FieldError("digest", "changed", f"{model} has changed since it was approved; have it reviewed again.")
        )
    _refuse(model, "be deployed", errors)


def _not_runnable(model: ModelEntry) -> list[FieldError]:
    if model.is_external:
        if needs_key(model) and not ExternalSecret.objects.filter(model=model).exists():
            return [FieldError("metadata.api_key", "required", f"{model} has no API key; its provider needs one.")]
        return []
    errors = _signature_errors(model)
    lacking = missing_files(list(model.files.values_list("filename", flat=True)))
    if lacking:
        errors.append(FieldError("files", "missing", f"{model} lacks {', '.join(lacking)}."))
    for row in model.files.exclude(scan_status=ScanStatus.SAFE):
        what = "is not scanned yet" if row.scan_status == ScanStatus.PENDING else f"is {row.scan_status}"
        errors.append(FieldError("files", f"scan_{row.scan_status}", f"{row.filename} {what}."))
    return errors


def _refuse(model: ModelEntry, what: str, errors: list[FieldError]) -> None:
    if errors:
        raise GateRefused(f"{model} cannot {what}: {' '.join(error.message for error in errors[:5])}", errors=errors)
