"""Everything that changes evaluations."""

from apps.evaluation.services.cancel import run_cancel, run_delete
from apps.evaluation.services.compare import runs_compare
from apps.evaluation.services.export import EXPORT_FORMATS, run_export
from apps.evaluation.services.follow import run_follow, runs_reconcile
from apps.evaluation.services.prepare import run_prepare
from apps.evaluation.services.reviews import ReviewInput, reviews_submit
from apps.evaluation.services.start import MAX_BATCH, run_start, runs_start

__all__ = [
    "EXPORT_FORMATS",
    "MAX_BATCH",
    "ReviewInput",
    "reviews_submit",
    "run_cancel",
    "run_delete",
    "run_export",
    "run_follow",
    "run_prepare",
    "run_start",
    "runs_compare",
    "runs_reconcile",
    "runs_start",
]
