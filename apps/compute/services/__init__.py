"""Services of the compute app. Their callers are services of higher apps, which have asked `authorize`."""

from apps.compute.services.billing import intervals_bill
from apps.compute.services.housekeeping import leftovers_remove, strays_stop
from apps.compute.services.interrupt import workloads_interrupt_all
from apps.compute.services.lease import lease_held, reconciler_wake
from apps.compute.services.logs import (
    workload_log_chunks,
    workload_log_read,
    workload_log_stream,
    workload_log_tail,
    workload_pods,
)
from apps.compute.services.reconcile import reconcile_once, reconcile_with_lease
from apps.compute.services.submit import workload_name, workload_stop, workload_submit, workload_unplaceable

__all__ = [
    "intervals_bill",
    "lease_held",
    "leftovers_remove",
    "reconcile_once",
    "reconcile_with_lease",
    "reconciler_wake",
    "strays_stop",
    "workload_log_chunks",
    "workload_log_read",
    "workload_log_stream",
    "workload_log_tail",
    "workload_name",
    "workload_pods",
    "workload_stop",
    "workload_submit",
    "workload_unplaceable",
    "workloads_interrupt_all",
]
