"""Models as a target of uploads in pieces: whole files move into place and are registered, all or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.catalog.models import ModelEntry
from apps.catalog.services.access import model_locked
from apps.catalog.services.uploads import checked_names, files_register, model_require_uploadable, require_room
from apps.core.storage import store
from apps.core.uploads.moving import in_place
from apps.core.uploads.targets import Progress, ReceivedFile, Taken


class ModelUploads:
    """What the kernel of uploads asks of models."""

    kind = ModelEntry.AUDIT_TYPE

    def require(self, *, actor: User | None, target_id: object) -> ModelEntry:
        """The model, open to uploads of this actor."""
        return model_require_uploadable(actor=actor, model_id=str(target_id))

    def check_names(self, thing: ModelEntry, names: Sequence[str]) -> list[str]:
        """Kinds of model files."""
        return checked_names(names)

    def work(self, thing: ModelEntry, size: int) -> int:
        """Only the new bytes are hashed; the scan is an operation of its own."""
        return size

    def take(
        self,
        *,
        actor: User | None,
        target_id: object,
        files: Sequence[ReceivedFile],
        settle: Callable[[], None],
        progress: Progress,
        operation_id: UUID,
    ) -> Taken:
        """Move and register; a file of the same name is replaced."""
        model = model_require_uploadable(actor=actor, model_id=str(target_id))
        names = checked_names([file.name for file in files])
        progress(50, "Storing")
        keys = [model.storage_prefix + name for name in names]
        with transaction.atomic():
            # Locked before anything moves: of two uploads of one name, bytes and row must come from the same.
            model = model_locked(actor=actor, model_id=model.pk, verb="upload")
            require_room(model, names)
            with in_place(files, keys) as stored:
                rows, scan = files_register(actor=actor, model=model, names=names, stored=stored)
                settle()
        return Taken(
            f"{len(rows)} file{'s' if len(rows) != 1 else ''} stored; the safety scan has started.",
            {
                "modelId": str(model.pk),
                "storageUri": store().uri(model.storage_prefix),
                "uploadedFiles": [{"filename": row.filename, "size": row.size, "checksum": row.sha256} for row in rows],
                "scanOperationId": str(scan.pk),
            },
        )
