"""Datasets as a target of uploads in pieces: large files are read by a worker and taken all or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.core.models import Operation
from apps.core.storage import StoredObject, store
from apps.core.uploads.moving import in_place, whereabouts
from apps.core.uploads.targets import Progress, ReceivedFile, Taken
from apps.datasets.models import Dataset
from apps.datasets.services.upload import (
    checked_names,
    content_read,
    content_register,
    dataset_require_uploadable,
    discard,
)


class DatasetUploads:
    """What the kernel of uploads asks of datasets."""

    kind = Dataset.AUDIT_TYPE

    def require(self, *, actor: User | None, target_id: object) -> Dataset:
        """The dataset, open to uploads of this actor."""
        return dataset_require_uploadable(actor=actor, dataset_id=target_id)

    def check_names(self, thing: Dataset, names: Sequence[str]) -> list[str]:
        """Kinds that can be read."""
        return checked_names(names)

    def work(self, thing: Dataset, size: int) -> int:
        """All files of a dataset are read together."""
        return thing.size_bytes + size

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
        """Read everything where it lies, then move and register it."""
        dataset = dataset_require_uploadable(actor=actor, dataset_id=target_id)
        # The same names in every run of this operation; the time lets the sweep tell leftovers from work going on.
        began = Operation.objects.values_list("created_at", flat=True).get(pk=operation_id)
        folder = f"{int(began.timestamp()):x}-{operation_id.hex[:8]}"
        place = f"{dataset.storage_prefix}/files/{folder}"
        rows_key = f"{dataset.storage_prefix}/rows/{folder}.parquet"
        targets = [f"{place}/{file.name}" for file in files]
        arrived = {
            file.name: StoredObject(whereabouts(file, target), file.stored.size, file.stored.sha256)
            for file, target in zip(files, targets, strict=True)
        }
        whole = dataset.size_bytes + sum(file.stored.size for file in files)

        def report(done: int, of: int) -> None:
            text = f"Reading and checking: {whole * done // max(1, of):,} of {whole:,} bytes"
            progress(95 * done // max(1, of), text)

        try:
            content = content_read(dataset, arrived, rows_key, report)
            progress(96, "Storing")
            with in_place(files, targets) as stored, transaction.atomic():
                new = dict(zip(arrived, stored, strict=True))
                result = content_register(actor, dataset, content, new)
                settle()
        except BaseException:
            discard(None, rows_key)
            raise
        check = result.check
        rows = result.dataset.row_count or 0
        count = len(result.files)
        return Taken(
            f"{count} file{'s' if count != 1 else ''} with {rows:,} rows in all taken; the checks have started.",
            {
                "datasetId": str(dataset.pk),
                "storageUri": store().uri(f"{dataset.storage_prefix}/"),
                "uploadedFiles": [
                    {"filename": file.filename, "size": file.size, "checksum": file.sha256} for file in result.files
                ],
                "rows": rows,
                "checkId": str(check.pk) if check else None,
                "checkOperationId": str(check.operation_id) if check else None,
            },
        )
