"""Signing approved models, verifying them on demand and before use, and what follows when a signature breaks.

An approval asks for a signature; the worker reads every byte, compares it with the hashes that were approved, and
signs. From then on a difference between store, hashes and signature lapses the approval, is told to the model's
people, and keeps every workload from starting with these files.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.selectors import users_with_role
from apps.catalog.keys import signing_keys
from apps.catalog.models import ModelEntry, ModelFile, ModelSignature
from apps.catalog.selectors import model_get
from apps.catalog.services.integrity import (
    Integrity,
    Progress,
    local_digests,
    signature_problems,
    stored_digests,
    stored_signature_problems,
)
from apps.catalog.services.lapses import approval_lapse
from apps.catalog.types import ModelStatus, SignatureStatus
from apps.core import audit, clock
from apps.core.errors import Conflict, FieldError, GateRefused, Unavailable
from apps.core.models import Operation, OperationStatus
from apps.core.operations import operation_finish, operation_latest, operation_progress, operation_start
from apps.core.permissions import Role
from apps.core.storage import store
from apps.core.tasks import enqueue
from apps.core.transitions import get_locked
from apps.governance.services import authorize, notices_send
from apps.integrations.signing import SIGNATURE_NAME, SignedModel, SigningError, model_signer

logger = logging.getLogger(__name__)

SIGN = "apps.catalog.tasks.model_sign"
VERIFY = "apps.catalog.tasks.model_verify"
SIGN_OVERDUE = timedelta(minutes=10)
VERIFIED_PER_SWEEP = 20
_SIGNED = (ModelStatus.APPROVED, ModelStatus.DEPRECATED)


def signature_request(*, model: ModelEntry, actor: User | None) -> None:
    """Ask for the signature of the locked, just approved *model*. External models have no files to sign."""
    if model.is_external:
        return
    ModelSignature.objects.update_or_create(
        model=model,
        defaults={
            "status": SignatureStatus.PENDING,
            "digest": model.digest,
            "bundle": "",
            "key_id": "",
            "root_digest": "",
            "problems": [],
            "signed_at": None,
            "verified_at": None,
        },
    )
    enqueue(SIGN, str(model.pk), str(_operation(model, actor, "model_sign", "Waiting to be signed").pk))


def model_sign_run(*, model_id: UUID | str, operation_id: UUID | str | None = None) -> str:
    """Read, compare and sign the files of an approved model; returns the signature's status, or ``none``.

    Safe to run twice: a model that is signed, or no longer what was approved, is left alone.
    """
    model = ModelEntry.objects.filter(pk=model_id).first()
    row = ModelSignature.objects.filter(model=model).first() if model is not None else None
    if model is None or row is None or row.status != SignatureStatus.PENDING or model.status not in _SIGNED:
        _finish(operation_id, "Nothing was left to sign.")
        return str(row.status) if row is not None else "none"
    found = stored_digests(model, on_bytes=_progress(model, operation_id))
    if found.problems:
        signature_break(model_id=model.pk, problems=found.problems, found_by="signing")
        _finish(operation_id, "Not signed: the stored files are not the ones that were approved.", found.problems)
        return SignatureStatus.BROKEN
    status = _store_signature(model, row.digest, found.digests)
    _finish(operation_id, "Signed." if status == SignatureStatus.VALID else "The model has changed meanwhile.")
    return status


def _store_signature(model: ModelEntry, digest: str, digests: Mapping[str, str]) -> str:
    signed = model_signer().sign(signing_keys(), name=f"{model.name}-{model.version}", digests=digests)
    with transaction.atomic():
        model = get_locked(ModelEntry.objects.all(), model.pk)
        row = ModelSignature.objects.select_for_update().filter(model=model).first()
        if row is None or row.status != SignatureStatus.PENDING or row.digest != digest or model.digest != digest:
            return str(row.status) if row is not None else "none"
        # Under the lock: a lapse that drops the signature waits, and deletes this copy afterwards.
        store().put(model.storage_prefix + SIGNATURE_NAME, [signed.bundle.encode()])
        _fill(row, signed)
        audit.record(
            actor=None,
            action="catalog.model.signed",
            resource=model,
            metadata={"key_id": signed.key_id, "root_digest": signed.root_digest, "files": len(digests)},
        )
    return SignatureStatus.VALID


def _fill(row: ModelSignature, signed: SignedModel) -> None:
    row.status, row.bundle, row.key_id = SignatureStatus.VALID, signed.bundle, signed.key_id
    row.root_digest, row.problems = signed.root_digest, []
    row.signed_at = row.verified_at = clock.now()
    row.save()


def model_verify(*, actor: User | None, model_id: UUID | str) -> Operation:
    """Start the verification of a signed model; whoever sees it may ask. One runs at a time: asking again joins it.

    Raises ``Conflict`` when there is no signature to verify.
    """
    model = model_get(actor=actor, model_id=model_id)
    authorize(actor=actor, action="model.view", obj=model)
    row = ModelSignature.objects.filter(model=model).first()
    if model.is_external:
        raise Conflict(f"{model} runs at its provider; there are no files here to verify.", code="external")
    if row is None or not row.bundle:
        message = f"{model} is not signed: models are signed when they are approved."
        raise Conflict(message, errors=[FieldError("status", "not_signed", message)], code="not_signed")
    with transaction.atomic():
        get_locked(ModelEntry.objects.all(), model.pk)
        running = operation_latest(target_type=ModelEntry.AUDIT_TYPE, target_id=model.pk, kind="model_verify")
        if running is not None and _is_under_way(running):
            return running
        operation = _operation(model, actor, "model_verify", "Waiting to be verified")
        enqueue(VERIFY, str(model.pk), str(operation.pk))
    return operation


def _is_under_way(operation: Operation) -> bool:
    active = operation.status in (OperationStatus.QUEUED, OperationStatus.RUNNING)
    return active and operation.updated_at > clock.now() - SIGN_OVERDUE


def model_verify_run(*, model_id: UUID | str, operation_id: UUID | str | None = None) -> str:
    """Read every byte and check the signature; returns ``valid``, ``broken`` or ``none``."""
    model = ModelEntry.objects.filter(pk=model_id).first()
    row = ModelSignature.objects.filter(model=model).first() if model is not None else None
    if model is None or row is None or not row.bundle:
        _finish(operation_id, "There is no signature to verify.")
        return "none"
    found = stored_digests(model, on_bytes=_progress(model, operation_id))
    problems = found.problems + signature_problems(row.bundle, found.digests)
    problems += stored_signature_problems(model, row.bundle)
    return _verified(model, row, sorted(set(problems)), operation_id)


def _verified(model: ModelEntry, row: ModelSignature, problems: list[str], operation_id: UUID | str | None) -> str:
    if problems:
        signature_break(model_id=model.pk, problems=problems, found_by="verification")
        _finish(operation_id, "The signature does not hold.", problems)
        return SignatureStatus.BROKEN
    now = clock.now()
    # Only the signature that was read: meanwhile the model may have been signed anew.
    ModelSignature.objects.filter(pk=row.pk, bundle=row.bundle).update(
        status=SignatureStatus.VALID, problems=[], verified_at=now, updated_at=now
    )
    if operation_id is not None:
        asked = Operation.objects.filter(pk=operation_id).select_related("created_by").first()
        audit.record(
            actor=asked.created_by if asked is not None else None,
            action="catalog.model.verified",
            resource=model,
            metadata={"key_id": row.key_id, "root_digest": row.root_digest},
        )
    _finish(operation_id, "The signature holds: the stored files are the ones that were approved.")
    return SignatureStatus.VALID


@transaction.atomic
def signature_break(*, model_id: UUID, problems: Sequence[str], found_by: str) -> None:
    """Record that the stored files are not what was approved: broken signature, lapsed approval, people told."""
    model = get_locked(ModelEntry.objects.select_related("team"), model_id)
    known = ModelSignature.objects.filter(model=model, status=SignatureStatus.BROKEN).exists()
    told = known and model.status != ModelStatus.APPROVED
    ModelSignature.objects.update_or_create(
        model=model,
        defaults={"status": SignatureStatus.BROKEN, "problems": list(problems)},
        create_defaults={"status": SignatureStatus.BROKEN, "problems": list(problems), "digest": model.digest},
    )
    if not told:
        logger.error("model_files_changed", extra={"model_id": str(model.pk), "problems": list(problems)[:10]})
        audit.record(
            actor=None,
            action="catalog.model.signature_broken",
            resource=model,
            metadata={"problems": list(problems)[:50], "found_by": found_by},
        )
        _alert(model, problems)
    if model.status == ModelStatus.APPROVED:
        approval_lapse(
            actor=None,
            model=model,
            reason=f"The stored files are not the ones that were approved. {' '.join(problems[:3])}",
            tone="danger",
        )


def _alert(model: ModelEntry, problems: Sequence[str]) -> None:
    """Somebody wrote to the store behind the portal's back: who runs it has to know."""
    people = [user.pk for role in (Role.ADMIN, Role.OPERATOR) for user in users_with_role(role=role)]
    notices_send(
        recipients=people,
        about=model,
        key=f"model_files_changed:{model.pk}:{clock.now().isoformat()}",
        tone="danger",
        title=f"The stored files of {model} are not the ones that were approved",
        text=f"{' '.join(problems[:3])} Find out who can write to the object store besides the portal.",
        url=reverse("catalog:model-detail", args=[model.pk]),
    )


def require_intact(*, model: ModelEntry, folder: Path, rows: Sequence[ModelFile]) -> None:
    """Before any workload starts: the copies in *folder* are what was uploaded, approved and signed.

    Raises ``GateRefused``, after what broke was recorded. A draft has no signature; its registered hashes count.
    """
    found = local_digests(folder, rows)
    row = ModelSignature.objects.filter(model=model).first()
    problems = list(found.problems)
    if model.status in _SIGNED and row is not None and row.status != SignatureStatus.PENDING:
        problems += row.problems if row.status == SignatureStatus.BROKEN else _signed_problems(row, found)
    if not problems:
        if row is not None and row.status == SignatureStatus.PENDING and model.status in _SIGNED:
            _sign_before_use(model, row, found)
        return
    if model.status in _SIGNED or row is not None:
        signature_break(model_id=model.pk, problems=sorted(set(problems)), found_by="start of a workload")
    raise GateRefused(
        f"The stored bytes of {model} are not the ones that were uploaded and approved: {' '.join(problems[:3])} "
        "Upload the file again in a new version and have it reviewed.",
        errors=[FieldError("files", "file_changed", problem) for problem in problems],
        code="file_changed",
    )


def _sign_before_use(model: ModelEntry, row: ModelSignature, found: Integrity) -> None:
    """The workload was faster than the signing task."""
    try:
        _store_signature(model, row.digest, found.digests)
    except SigningError as error:
        raise Unavailable(f"{model} is approved but cannot be signed yet: {error.message}") from error


def _signed_problems(row: ModelSignature, found: Integrity) -> list[str]:
    return signature_problems(row.bundle, found.digests)


def signatures_resend() -> int:
    """For the sweep: sign and verify what was begun and lost, verify what was not verified for long; how many."""
    late = clock.now() - SIGN_OVERDUE
    lost = ModelSignature.objects.filter(status=SignatureStatus.PENDING, updated_at__lt=late)
    for pk in (unsigned := list(lost.values_list("model_id", flat=True)[:500])):
        operation = _open_operations("model_sign").filter(target_id=str(pk)).first()
        # With the operation that people watch, so that it ends when the work does.
        enqueue(SIGN, str(pk), str(operation.pk) if operation is not None else None)
    dropped = list(_open_operations("model_verify").filter(updated_at__lt=late)[:500])
    for operation in dropped:
        enqueue(VERIFY, operation.target_id, str(operation.pk))
    stale = _stale_signatures()
    for pk in stale:
        enqueue(VERIFY, str(pk))
    return len(unsigned) + len(dropped) + len(stale)


def _open_operations(kind: str) -> QuerySet[Operation]:
    found = Operation.objects.filter(
        kind=kind, target_type=ModelEntry.AUDIT_TYPE, status__in=[OperationStatus.QUEUED, OperationStatus.RUNNING]
    )
    return found.order_by("created_at")


def _stale_signatures() -> list[UUID]:
    """Approved models that were not verified for as long as the setting says, a few at a time."""
    if not settings.SIGNING_VERIFY_HOURS:
        return []
    due = clock.now() - timedelta(hours=settings.SIGNING_VERIFY_HOURS)
    stale = ModelSignature.objects.filter(
        verified_at__lt=due, status=SignatureStatus.VALID, model__status=ModelStatus.APPROVED
    )
    return list(stale.order_by("verified_at").values_list("model_id", flat=True)[:VERIFIED_PER_SWEEP])


def _operation(model: ModelEntry, actor: User | None, kind: str, message: str) -> Operation:
    return operation_start(
        actor=actor,
        team=model.team,
        kind=kind,
        target_type=ModelEntry.AUDIT_TYPE,
        target_id=model.pk,
        message=message,
    )


def _progress(model: ModelEntry, operation_id: UUID | str | None) -> Progress | None:
    """Report at most a hundred times, whatever the size."""
    if operation_id is None:
        return None
    target: UUID | str = operation_id
    total = sum(model.files.values_list("size", flat=True)) or 1
    shown = -1

    def report(read: int) -> None:
        nonlocal shown
        percent = min(99, 100 * read // total)
        if percent > shown:
            shown = percent
            operation_progress(target, percent, f"{read:,} of {total:,} bytes read")

    return report


def _finish(operation_id: UUID | str | None, message: str, problems: Sequence[str] = ()) -> None:
    if operation_id is not None:
        operation_finish(operation_id, {"problems": list(problems)[:50], "intact": not problems}, message=message)
