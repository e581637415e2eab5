"""Checks: statistics, quality and PII of the rows, run by a worker with visible progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, clock
from apps.core.errors import Conflict, DomainError
from apps.core.operations import operation_fail, operation_finish, operation_progress, operation_start
from apps.core.tasks import enqueue
from apps.core.transitions import transition
from apps.datasets.models import Dataset, DatasetCheck, PiiFinding
from apps.datasets.pii import PiiRule, ScanResult, rules_digest, scan_rows
from apps.datasets.quality import Quality, examine
from apps.datasets.reading import RowsFile
from apps.datasets.selectors_pii import finding_key, name_recogniser, pii_rules_for, type_label
from apps.datasets.services.access import dataset_locked
from apps.datasets.services.content import rows_opened
from apps.datasets.services.marks import marks_apply
from apps.datasets.types import CHECK_ACTIVE, CHECK_TRANSITIONS, CheckStatus, DatasetStatus, PiiStatus

logger = logging.getLogger(__name__)

TASK = "apps.datasets.tasks.dataset_check"
MAX_ATTEMPTS = 3
SILENCE = timedelta(minutes=3)
_LENGTH = 200


def check_start(*, dataset: Dataset, actor: User | None) -> DatasetCheck:
    """Queue a run over the files as they are now; an earlier active run ends. ``dataset`` is locked."""
    for active in DatasetCheck.objects.select_for_update().filter(dataset=dataset, status__in=CHECK_ACTIVE):
        _end(active, CheckStatus.FAILED, "The files have changed; a newer check runs.")
    operation = operation_start(
        actor=actor,
        team=dataset.team,
        kind="dataset.check",
        target_type="dataset",
        target_id=dataset.pk,
        message="Waiting for a worker",
    )
    check = DatasetCheck.objects.create(
        dataset=dataset,
        digest=dataset.rows_sha256,
        requested_by=actor,
        operation=operation,
        message="Waiting for a worker",
    )
    enqueue(TASK, str(check.pk))
    return check


def dataset_check_request(*, actor: User | None, dataset_id: object) -> DatasetCheck:
    """Run the checks again. Raises NotFound, PermissionRefused, Conflict (no files, running already,
    approved)."""
    with transaction.atomic():
        dataset = dataset_locked(actor=actor, dataset_id=dataset_id, action="dataset.change")
        if not dataset.has_files:
            raise Conflict(f"{dataset} has no files to check. Upload some first.", code="no_files")
        if dataset.status == DatasetStatus.APPROVED:
            raise Conflict(f"{dataset} is approved; its checks are part of the approval.", code="approved")
        if DatasetCheck.objects.filter(dataset=dataset, status__in=CHECK_ACTIVE).exists():
            raise Conflict(f"{dataset} is being checked already.", code="running")
        dataset.pii_scan_status = PiiStatus.PENDING
        dataset.save(update_fields=["pii_scan_status"])
        audit.record(actor=actor, action="datasets.dataset.check_requested", resource=dataset)
        return check_start(dataset=dataset, actor=actor)


def check_run(check_id: UUID | str) -> None:
    """The work of one run. Safe to call twice, also at once: one call works, the others return."""
    check = _claim(check_id)
    if check is None:
        return
    report = _Reporter(check)
    try:
        rules = pii_rules_for(check.dataset.team_id)
    except DomainError as error:
        _give_up(check.pk, error.message)
        return
    try:
        with rows_opened(check.dataset) as rows:
            statistics, quality, scan = _examine(rows, check.dataset, rules, report)
        _record(check.pk, rules, statistics, quality, scan)
    except DomainError as error:
        _give_up(check.pk, f"The files could not be read: {error.message}")
    except Exception:
        logger.exception("dataset_check_failed", extra={"check_id": str(check.pk)})
        _give_up(check.pk, "The check broke down unexpectedly. Run it again; if it fails again, tell an operator.")


def _claim(check_id: UUID | str) -> DatasetCheck | None:
    """Take the run for this worker, if nobody works on it; ended runs and lively ones are left alone."""
    with transaction.atomic():
        check = (
            DatasetCheck.objects.select_for_update(of=("self",))
            .select_related("dataset__team")
            .filter(pk=check_id, status__in=CHECK_ACTIVE)
            .first()
        )
        if check is None:
            return None
        now = clock.now()
        if check.status == CheckStatus.RUNNING and check.heartbeat_at and now - check.heartbeat_at < SILENCE:
            return None
        if check.attempts >= MAX_ATTEMPTS:
            _end(check, CheckStatus.FAILED, f"The check was interrupted {MAX_ATTEMPTS} times. Ask an operator why.")
            return None
        transition(
            check,
            CheckStatus.RUNNING,
            CHECK_TRANSITIONS,
            attempts=check.attempts + 1,
            heartbeat_at=now,
            started_at=check.started_at or now,
            message="Reading the rows",
            progress=1,
        )
        return check


class _Reporter:
    """Writes progress, at most once for every percent."""

    def __init__(self, check: DatasetCheck) -> None:
        self.check = check
        self.shown = -1

    def step(self, start: int, end: int, message: str) -> Callable[[int, int], None]:
        """A callback (done, all) for the part of the bar from ``start`` to ``end`` percent."""

        def report(done: int, whole: int) -> None:
            percent = start + (end - start) * done // max(1, whole)
            if percent == self.shown:
                return
            self.shown = percent
            DatasetCheck.objects.filter(pk=self.check.pk, status=CheckStatus.RUNNING).update(
                progress=percent, message=message, heartbeat_at=clock.now(), updated_at=clock.now()
            )
            if self.check.operation_id:
                operation_progress(self.check.operation_id, percent, message)

        report(0, 1)
        return report


def _examine(
    rows: RowsFile, dataset: Dataset, rules: Sequence[PiiRule], report: _Reporter
) -> tuple[list[dict[str, Any]], Quality, ScanResult]:
    total = rows.count()
    statistics, quality = examine(
        rows,
        dataset.type,
        settings.DATASETS_QUALITY_WEIGHTS,
        memory=settings.DATASETS_CHECK_MEMORY_BYTES,
        folder=settings.VAR_DIR / "tmp",
        progress=report.step(2, 60, "Statistics of the columns and quality of the rows"),
    )
    scanned = report.step(60, 98, "Looking for personal data")
    scan = scan_rows(
        rows,
        rules,
        keep=settings.DATASETS_PII_FINDINGS,
        threshold=settings.DATASETS_PII_CONFIDENCE,
        key=finding_key(),
        recogniser=name_recogniser(),
        named_rows=settings.DATASETS_PII_NER_ROWS,
        progress=lambda done: scanned(done, total),
    )
    return statistics, quality, scan


def _record(
    check_id: UUID,
    rules: Sequence[PiiRule],
    statistics: list[dict[str, Any]],
    quality: Quality,
    scan: ScanResult,
) -> None:
    """Keep the results, unless the files or the run were overtaken meanwhile."""
    with transaction.atomic():
        dataset_id = DatasetCheck.objects.values_list("dataset_id", flat=True).get(pk=check_id)
        # The dataset before the check: the same order as everywhere else.
        dataset = Dataset.objects.select_for_update(of=("self",)).filter(pk=dataset_id).first()
        check = DatasetCheck.objects.select_for_update().filter(pk=check_id, status=CheckStatus.RUNNING).first()
        if dataset is None or check is None:
            return
        if dataset.rows_sha256 != check.digest:
            _end(check, CheckStatus.FAILED, "The files have changed; a newer check runs.")
            return
        PiiFinding.objects.filter(check_run=check).delete()
        PiiFinding.objects.bulk_create(
            [PiiFinding(check_run=check, **_fitting(asdict(finding))) for finding in scan.findings], batch_size=500
        )
        check.pii = _pii_summary(scan, rules)
        check.quality_score, check.quality = quality.overall, quality.to_json()
        check.statistics = statistics
        check.recommendations = [*_pii_advice(scan), *quality.recommendations]
        check.save()
        # Marks of earlier checks count again where exactly the same was found; this sets the PII status of both.
        marks_apply(dataset, check)
        open_ = check.pii["open"]
        found = f"{open_:,} findings of personal data" if open_ else "No personal data found"
        if scan.total > open_:
            found += f" ({scan.total - open_:,} marked as none)"
        _end(check, CheckStatus.SUCCEEDED, f"{found}; quality {quality.overall:g}")
        dataset.quality_score, dataset.last_check = quality.overall, check
        dataset.save(update_fields=["quality_score", "last_check"])
        audit.record(
            actor=None,
            action="datasets.dataset.checked",
            resource=dataset,
            metadata={
                "pii": str(check.pii_status),
                "findings": scan.total,
                "open": open_,
                "quality": quality.overall,
                "rules": rules_digest(tuple(rules)),
            },
        )


def _fitting(finding: dict[str, Any]) -> dict[str, Any]:
    """Places of absurd length are cut, so that a finding can always be kept."""
    return {**finding, "path": finding["path"][:_LENGTH], "column": finding["column"][:_LENGTH]}


def _pii_summary(scan: ScanResult, rules: Sequence[PiiRule]) -> dict[str, Any]:
    return {
        "total": scan.total,
        "kept": len(scan.findings),
        "rows": scan.rows,
        "rowsAffected": scan.rows_affected,
        "namesAffected": scan.names_affected,
        "rowsNamed": scan.rows_named,
        "byType": dict(scan.by_type.most_common()),
        "byColumn": [
            {
                "column": column[:_LENGTH],
                "type": type_,
                "count": count,
                "digest": scan.column_digest(column, type_),
            }
            for (column, type_), count in scan.by_column.most_common(200)
        ],
        "rules": rules_digest(tuple(rules)),
        "ruleVersions": {rule.key: rule.version for rule in rules},
    }


def _pii_advice(scan: ScanResult) -> list[str]:
    if not scan.total:
        return []
    kinds = ", ".join(f"{type_label(key).lower()} ({count:,})" for key, count in scan.by_type.most_common())
    places = [f"{scan.rows_affected:,} rows"] if scan.rows_affected else []
    if count := scan.names_affected:
        places.append("the name of a column" if count == 1 else f"the names of {count:,} columns")
    advice = [f"Make a redacted version: {' and '.join(places)} hold {kinds}."]
    column, count = max(_by_column(scan).items(), key=lambda item: item[1])
    if count > scan.rows / 2:
        advice.append(f"Consider leaving out the column “{column}”: most of its rows hold personal data.")
    return advice


def _by_column(scan: ScanResult) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (column, _type), count in scan.by_column.items():
        counts[column] = counts.get(column, 0) + count
    return counts


def _end(check: DatasetCheck, status: CheckStatus, message: str) -> None:
    """Close a locked run and the operation that people watch."""
    progress = 100 if status == CheckStatus.SUCCEEDED else check.progress
    transition(check, status, CHECK_TRANSITIONS, message=message[:500], finished_at=clock.now(), progress=progress)
    if check.operation_id is None:
        return
    if status == CheckStatus.SUCCEEDED:
        result = {"piiScanStatus": str(check.pii_status), "qualityScore": check.quality_score}
        operation_finish(check.operation_id, result, message)
    else:
        operation_fail(check.operation_id, message)


def _give_up(check_id: UUID, message: str) -> None:
    with transaction.atomic():
        check = DatasetCheck.objects.select_for_update().filter(pk=check_id, status__in=CHECK_ACTIVE).first()
        if check is not None:
            _end(check, CheckStatus.FAILED, message)
