"""What other apps and the outer layers may ask of datasets."""

from apps.datasets.services.checks import check_run, check_start, dataset_check_request
from apps.datasets.services.comparing import Comparison, dataset_compare
from apps.datasets.services.comparisons import comparison_run, comparisons_reconcile
from apps.datasets.services.content import (
    content_digest,
    dataset_materialise,
    dataset_require_usable,
    expiry_errors,
    rows_opened,
    usability_errors,
)
from apps.datasets.services.deletion import (
    DeletionPlan,
    dataset_delete,
    dataset_deletion_plan,
    dataset_files_remove,
    deletions_reconcile,
)
from apps.datasets.services.deriving import Derived, derivation_latest, derivation_run, derivations_reconcile
from apps.datasets.services.entries import dataset_create, dataset_update
from apps.datasets.services.expiry import retention_extend, retention_sweep
from apps.datasets.services.lifecycle import (
    dataset_decide,
    dataset_reopen,
    dataset_set_status,
    dataset_submit,
    dataset_withdraw,
)
from apps.datasets.services.marks import mark_objection, pii_mark_create, pii_mark_decide
from apps.datasets.services.mend import RepairOffer, dataset_repair, dataset_repairs, repairs_awaited
from apps.datasets.services.pii_rules import pii_rule_change, pii_rule_create, pii_rule_retire, pii_text_try
from apps.datasets.services.preview import Preview, dataset_preview
from apps.datasets.services.redaction import dataset_redact
from apps.datasets.services.repair import checks_reconcile, leftovers_remove
from apps.datasets.services.split import dataset_split
from apps.datasets.services.upload import Upload, UploadResult, dataset_upload

__all__ = [
    "Comparison",
    "DeletionPlan",
    "Derived",
    "Preview",
    "RepairOffer",
    "Upload",
    "UploadResult",
    "check_run",
    "check_start",
    "checks_reconcile",
    "comparison_run",
    "comparisons_reconcile",
    "content_digest",
    "dataset_check_request",
    "dataset_compare",
    "dataset_create",
    "dataset_decide",
    "dataset_delete",
    "dataset_deletion_plan",
    "dataset_files_remove",
    "dataset_materialise",
    "dataset_preview",
    "dataset_redact",
    "dataset_reopen",
    "dataset_repair",
    "dataset_repairs",
    "dataset_require_usable",
    "dataset_set_status",
    "dataset_split",
    "dataset_submit",
    "dataset_update",
    "dataset_upload",
    "dataset_withdraw",
    "deletions_reconcile",
    "derivation_latest",
    "derivation_run",
    "derivations_reconcile",
    "expiry_errors",
    "leftovers_remove",
    "mark_objection",
    "pii_mark_create",
    "pii_mark_decide",
    "pii_rule_change",
    "pii_rule_create",
    "pii_rule_retire",
    "pii_text_try",
    "repairs_awaited",
    "retention_extend",
    "retention_sweep",
    "rows_opened",
    "usability_errors",
]
