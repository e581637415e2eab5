"""What other apps and the outer layers may ask of training."""

from apps.training.services.cancel import job_cancel
from apps.training.services.collect import attempt_collect, attempt_settle
from apps.training.services.logs import attempt_shown, job_log_read, job_log_stream, job_log_tail
from apps.training.services.metrics import metrics_record
from apps.training.services.outputs import job_register_model
from apps.training.services.prepare import attempt_prepare
from apps.training.services.repair import jobs_reconcile
from apps.training.services.submit import job_resubmit, job_submit

__all__ = [
    "attempt_collect",
    "attempt_prepare",
    "attempt_settle",
    "attempt_shown",
    "job_cancel",
    "job_log_read",
    "job_log_stream",
    "job_log_tail",
    "job_register_model",
    "job_resubmit",
    "job_submit",
    "jobs_reconcile",
    "metrics_record",
]
