"""Everything that changes the catalog, and what other apps may ask of a model."""

from apps.catalog.services.cleanup import discarded_files_sweep
from apps.catalog.services.closure import dependents_check
from apps.catalog.services.connection import model_test_connection
from apps.catalog.services.entries import model_blockers, model_create, model_delete, model_update
from apps.catalog.services.exports import (
    export_fetched,
    export_object,
    exports_of,
    model_export_run,
    model_export_start,
)
from apps.catalog.services.external import model_external_target
from apps.catalog.services.import_run import import_run
from apps.catalog.services.imports import (
    import_cancel,
    import_from_bundle,
    import_from_hub,
    import_get,
    import_require,
    import_retry,
    imports_visible_to,
)
from apps.catalog.services.lineage import lineage_add, lineage_forget
from apps.catalog.services.outputs import (
    model_materialise,
    model_register_output,
    model_require_deployable,
    model_require_intact_copy,
    model_require_runnable,
)
from apps.catalog.services.publishing import PUBLICATION_KIND, model_publish, model_rollback
from apps.catalog.services.readme import card_text
from apps.catalog.services.reviews import (
    STATUS_SPELLINGS,
    approvals_check,
    model_check_approval,
    model_decide,
    model_deprecate,
    model_reopen,
    model_set_status,
    model_submit,
    model_withdraw,
)
from apps.catalog.services.scans import model_scan_run, scan_failed, scans_resend
from apps.catalog.services.signing import model_sign_run, model_verify, model_verify_run, signatures_resend
from apps.catalog.services.uploads import (
    model_file_delete,
    model_require_uploadable,
    model_rescan,
    model_upload,
)

__all__ = [
    "PUBLICATION_KIND",
    "STATUS_SPELLINGS",
    "approvals_check",
    "card_text",
    "dependents_check",
    "discarded_files_sweep",
    "export_fetched",
    "export_object",
    "exports_of",
    "import_cancel",
    "import_from_bundle",
    "import_from_hub",
    "import_get",
    "import_require",
    "import_retry",
    "import_run",
    "imports_visible_to",
    "lineage_add",
    "lineage_forget",
    "model_blockers",
    "model_check_approval",
    "model_create",
    "model_decide",
    "model_delete",
    "model_deprecate",
    "model_export_run",
    "model_export_start",
    "model_external_target",
    "model_file_delete",
    "model_materialise",
    "model_publish",
    "model_register_output",
    "model_reopen",
    "model_require_deployable",
    "model_require_intact_copy",
    "model_require_runnable",
    "model_require_uploadable",
    "model_rescan",
    "model_rollback",
    "model_scan_run",
    "model_set_status",
    "model_sign_run",
    "model_submit",
    "model_test_connection",
    "model_update",
    "model_upload",
    "model_verify",
    "model_verify_run",
    "model_withdraw",
    "scan_failed",
    "scans_resend",
    "signatures_resend",
]
