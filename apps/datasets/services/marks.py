"""Marks “this is no personal data”: proposed by the dataset's team, confirmed by a second person, undone by either.

A confirmed mark can open the gate, so nobody who made, filled or submitted the dataset confirms one, nor who proposed
it. Undoing only closes the gate: whoever may change or approve the dataset can.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.core import audit, clock
from apps.core.errors import Conflict, Denial, FieldError, PermissionRefused, ValidationFailed
from apps.core.permissions import can
from apps.core.transitions import get_locked, transition
from apps.datasets.models import Dataset, DatasetCheck, PiiFinding, PiiMark
from apps.datasets.selectors import author_ids, check_results, dataset_get
from apps.datasets.services.access import dataset_locked
from apps.datasets.types import CHECK_ACTIVE, MARK_TRANSITIONS, MarkScope, MarkStatus, PiiStatus
from apps.governance.four_eyes import four_eyes_reason

MAX_REASON = 1_000
_PLACE = ("type", "column", "row", "path", "start", "end", "digest")


def pii_mark_create(
    *,
    actor: User | None,
    dataset_id: object,
    reason: str,
    finding_id: object = None,
    column: str = "",
    pii_type: str = "",
) -> PiiMark:
    """Say that one finding (``finding_id``), or all of a type in a column, are no personal data.

    It counts at once when the actor may approve the dataset and is no author of it; otherwise, for people who may
    change the dataset, it is a proposal. Raises NotFound, PermissionRefused, ValidationFailed, Conflict (no results of
    checks; marked already).
    """
    reason = _reason(reason)
    with transaction.atomic():
        dataset = dataset_get(actor=actor, dataset_id=dataset_id)
        direct = can(actor, "dataset.approve", dataset) and not _objection(actor, dataset, None)
        action = "dataset.approve" if direct else "dataset.change"
        dataset = dataset_locked(actor=actor, dataset_id=dataset_id, action=action, context={"mark": "pii"})
        check = _results(dataset)
        about = _about_finding(check, finding_id) if finding_id else _about_column(check, column, pii_type)
        status = MarkStatus.CONFIRMED if direct else MarkStatus.PROPOSED
        decided = {"decided_by": actor, "decided_at": clock.now()} if direct else {}
        try:
            with transaction.atomic():
                mark = PiiMark.objects.create(
                    dataset=dataset, status=status, reason=reason, created_by=actor, **about, **decided
                )
        except IntegrityError as error:
            raise Conflict("There is a mark on this already. Confirm or undo that one.", code="marked") from error
        _record(actor, mark, "confirmed" if direct else "proposed", reason)
        marks_apply(dataset, check)
    return mark


def pii_mark_decide(
    *, actor: User | None, dataset_id: object, mark_id: object, decision: str, reason: str = ""
) -> PiiMark:
    """``confirm`` or ``refuse`` a proposal (by a second person), or ``undo`` a mark (needs a reason).

    Raises NotFound, PermissionRefused, ValidationFailed, Conflict (decided already).
    """
    if decision not in {"confirm", "refuse", "undo"}:
        raise ValidationFailed.field("decision", "invalid_choice", "decision must be confirm, refuse or undo.")
    if decision == "undo" or reason:
        reason = _reason(reason)
    with transaction.atomic():
        dataset = dataset_get(actor=actor, dataset_id=dataset_id)
        undo = decision == "undo"
        closes = undo and not can(actor, "dataset.approve", dataset)
        action = "dataset.change" if closes else "dataset.approve"
        dataset = dataset_locked(actor=actor, dataset_id=dataset_id, action=action, context={"mark": "pii"})
        mark = get_locked(PiiMark.objects.filter(dataset=dataset), mark_id, what="mark")
        if decision == "refuse" and mark.status == MarkStatus.CONFIRMED:
            raise Conflict("This mark is confirmed already; undo it instead.", code="confirmed")
        if decision == "confirm":
            _require_second_person(actor, dataset, mark)
        to = MarkStatus.CONFIRMED if decision == "confirm" else MarkStatus.UNDONE
        transition(mark, to, MARK_TRANSITIONS, decided_by=actor, decided_at=clock.now())
        words = {"confirm": "confirmed", "refuse": "refused", "undo": "undone"}
        _record(actor, mark, words[decision], reason)
        check = check_results(dataset)
        if check is not None:
            marks_apply(dataset, check)
    return mark


def marks_apply(dataset: Dataset, check: DatasetCheck) -> None:
    """Work out which finds of a check the confirmed marks still cover, and what status that leaves. Both rows are
    locked by the caller, or fresh."""
    confirmed = list(PiiMark.objects.filter(dataset=dataset, status=MarkStatus.CONFIRMED))
    columns = {(entry["column"], entry["type"]): entry for entry in check.pii.get("byColumn", [])}
    covered: Counter[str] = Counter()
    PiiFinding.objects.filter(check_run=check).exclude(mark=None).update(mark=None)
    whole: set[tuple[str, str]] = set()
    for mark in confirmed:
        entry = columns.get((mark.column, mark.type))
        if mark.scope == MarkScope.COLUMN and entry is not None and entry.get("digest") == mark.digest:
            whole.add((mark.column, mark.type))
            covered[mark.type] += entry["count"]
            PiiFinding.objects.filter(check_run=check, column=mark.column, type=mark.type).update(mark=mark)
    for mark in confirmed:
        if mark.scope == MarkScope.PLACE and (mark.column, mark.type) not in whole:
            place = {name: getattr(mark, name) for name in _PLACE}
            covered[mark.type] += PiiFinding.objects.filter(check_run=check, mark=None, **place).update(mark=mark)
    by_type: dict[str, int] = check.pii.get("byType", {})
    left = {kind: count - covered[kind] for kind, count in by_type.items() if count > covered[kind]}
    check.pii = {**check.pii, "open": sum(left.values()), "openByType": left}
    check.pii_status = PiiStatus.FAILED if left else PiiStatus.CLEAN
    check.save(update_fields=["pii", "pii_status"])
    if DatasetCheck.objects.filter(dataset=dataset, status__in=CHECK_ACTIVE).exclude(pk=check.pk).exists():
        # A newer check looks again, perhaps by other rules: until it has, the gate stays shut.
        return
    dataset.pii_scan_status = check.pii_status
    dataset.save(update_fields=["pii_scan_status"])


def mark_objection(actor: User | None, dataset: Dataset, mark: PiiMark | None = None) -> str:
    """Why this person may not confirm a mark; empty when they may. For pages."""
    if not can(actor, "dataset.approve", dataset):
        return "Only reviewers and administrators confirm marks."
    return _objection(actor, dataset, mark)


def _objection(actor: User | None, dataset: Dataset, mark: PiiMark | None) -> str:
    if actor is None:
        return ""
    return four_eyes_reason(
        actor_id=actor.pk,
        requester_id=mark.created_by_id if mark is not None else None,
        author_ids=author_ids(dataset),
        title=f"{dataset} or this mark",
    )


def _require_second_person(actor: User | None, dataset: Dataset, mark: PiiMark) -> None:
    objection = _objection(actor, dataset, mark)
    if objection:
        denial = Denial(
            actor=actor,
            action="datasets.pii_mark.denied",
            resource_type=Dataset.AUDIT_TYPE,
            resource_id=str(dataset.pk),
            team_id=dataset.team_id,
            metadata={"mark": str(mark.pk)},
        )
        raise PermissionRefused(objection, code="four_eyes", denial=denial)


def _results(dataset: Dataset) -> DatasetCheck:
    check = check_results(dataset) if dataset.has_files else None
    if check is None:
        raise Conflict(
            f"The checks of {dataset} have no results yet; wait until they have finished.", code="no_results"
        )
    return check


def _about_finding(check: DatasetCheck, finding_id: object) -> dict[str, Any]:
    try:
        finding = PiiFinding.objects.get(check_run=check, pk=int(str(finding_id)))
    except (PiiFinding.DoesNotExist, ValueError, OverflowError) as error:
        raise ValidationFailed.field(
            "findingId", "unknown", "There is no such finding in the newest results; read them again."
        ) from error
    if not finding.digest:
        raise Conflict("This finding is of an older check; run the checks again first.", code="old_results")
    return {"scope": MarkScope.PLACE, "count": 1, **{name: getattr(finding, name) for name in _PLACE}}


def _about_column(check: DatasetCheck, column: str, pii_type: str) -> dict[str, Any]:
    if not column or not pii_type:
        message = "Name a finding (findingId), or a column and a type."
        raise ValidationFailed(message, errors=[FieldError("findingId", "required", message)])
    for entry in check.pii.get("byColumn", []):
        if (entry["column"], entry["type"]) == (column, pii_type):
            if not entry.get("digest"):
                raise Conflict("These findings are of an older check; run the checks again first.", code="old_results")
            return {
                "scope": MarkScope.COLUMN,
                "type": pii_type,
                "column": column,
                "digest": entry["digest"],
                "count": entry["count"],
            }
    raise ValidationFailed.field("column", "unknown", f"Nothing of type “{pii_type}” was found in column “{column}”.")


def _reason(text: str) -> str:
    text = (text or "").strip()
    if not text or len(text) > MAX_REASON or "\x00" in text:
        raise ValidationFailed.field(
            "reason", "required", f"Say why in “reason”, in 1 to {MAX_REASON:,} characters: auditors read it."
        )
    return text


def _record(actor: User | None, mark: PiiMark, what: str, reason: str) -> None:
    facts = {"mark": str(mark.pk), "scope": mark.scope, "type": mark.type, "column": mark.column, "count": mark.count}
    if mark.row is not None:
        facts["row"] = mark.row
    audit.record(
        actor=actor,
        action=f"datasets.dataset.pii_mark_{what}",
        resource=mark.dataset,
        metadata={**facts, "reason": reason, "digest": mark.digest},
    )
