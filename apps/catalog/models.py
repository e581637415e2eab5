"""Tables of the catalog. Rules live in ``services``; constraints here are the last line."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from guardian.models import UserObjectPermissionBase

from apps.catalog.import_models import ModelImport
from apps.catalog.scanning import FileKind
from apps.catalog.types import (
    LineageRelation,
    ModelStatus,
    ModelType,
    Provider,
    PublicationStatus,
    ScanStatus,
    SignatureStatus,
)
from apps.core.models import BaseModel, TeamOwnedModel

ELSEWHERE = (ModelImport,)  # Django finds tables by importing this module
FILE_KINDS = [(kind.value, kind.name.capitalize()) for kind in FileKind]
FILE_SCANS = [choice for choice in ScanStatus.choices if choice[0] != ScanStatus.NONE]


class ModelEntry(TeamOwnedModel):
    """One version of one model."""

    AUDIT_TYPE: ClassVar[str] = "model"
    SHARED_STATUSES: ClassVar[tuple[str, ...]] = (ModelStatus.APPROVED,)

    name = models.CharField(max_length=200)
    version = models.CharField(max_length=64, help_text="As it was sent.")
    # Equal for 1.0 and v1.0.0; collation C, so that the database sorts as versions compare.
    version_key = models.CharField(max_length=255, db_collation="C", editable=False)
    type = models.CharField(max_length=20, choices=ModelType.choices)
    status = models.CharField(max_length=20, choices=ModelStatus.choices, default=ModelStatus.DRAFT)
    model_family = models.CharField(max_length=100, blank=True, default="")
    provider = models.CharField(max_length=30, choices=Provider.choices, blank=True, default="")
    metadata = models.JSONField(default=dict, blank=True)
    digest = models.CharField(max_length=64, blank=True, default="", help_text="What the approval stands for.")

    scan_status = models.CharField(max_length=10, choices=ScanStatus.choices, default=ScanStatus.NONE)
    # Read from the files by the scanner, never typed in.
    architecture = models.CharField(max_length=200, blank=True, default="")
    detected_family = models.CharField(max_length=100, blank=True, default="")
    dtype = models.CharField(max_length=30, blank=True, default="")
    parameter_count = models.BigIntegerField(null=True, blank=True)
    context_length = models.BigIntegerField(null=True, blank=True, help_text="Tokens.")
    weight_bytes = models.BigIntegerField(null=True, blank=True)
    memory_bytes = models.BigIntegerField(null=True, blank=True, help_text="Estimate for one request.")
    kv_bytes_per_token = models.BigIntegerField(null=True, blank=True, help_text="Cache of one token in 16 bits.")

    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    submitted_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    deprecated_at = models.DateTimeField(null=True, blank=True)
    successor = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    deprecation_note = models.CharField(max_length=500, blank=True, default="", help_text="Shown to who still uses it.")
    # A job registers its output once, however often the task runs.
    source_job_id = models.UUIDField(null=True, blank=True, unique=True)

    class Meta(TeamOwnedModel.Meta):
        verbose_name = "model"
        permissions = [
            ("upload_modelentry", "Can upload files to a model"),
            ("submit_modelentry", "Can submit a model for review"),
            ("approve_modelentry", "Can approve a model"),
            ("export_modelentry", "Can export a model"),
        ]
        constraints = [
            models.UniqueConstraint(fields=("team", "name", "type", "version_key"), name="catalog_model_version_once"),
            models.CheckConstraint(condition=Q(status__in=ModelStatus.values), name="catalog_model_status_known"),
            models.CheckConstraint(condition=Q(type__in=ModelType.values), name="catalog_model_type_known"),
            models.CheckConstraint(
                condition=~Q(status=ModelStatus.APPROVED) | ~Q(digest=""), name="catalog_model_approval_has_digest"
            ),
        ]
        indexes = [
            models.Index(fields=("team", "-created_at"), name="catalog_model_team_newest"),
            models.Index(
                fields=("-created_at",),
                condition=Q(visibility="organisation", status=ModelStatus.APPROVED),
                name="catalog_model_shared",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def is_external(self) -> bool:
        """True when the model runs at a provider and has no files here."""
        return self.type == ModelType.EXTERNAL

    @property
    def storage_prefix(self) -> str:
        """Where the files lie in the object store; ends with a slash."""
        return f"models/{self.pk}/{self.version}/"


class ModelEntryGrant(UserObjectPermissionBase):
    """A single grant on one model (django-guardian, with a direct foreign key: fast, and gone with the model)."""

    content_object = models.ForeignKey(ModelEntry, on_delete=models.CASCADE, related_name="grants")

    class Meta(UserObjectPermissionBase.Meta):
        abstract = False


class ModelFile(BaseModel):
    """One uploaded file; the row always describes the bytes that the store holds under ``storage_key``."""

    model = models.ForeignKey(ModelEntry, on_delete=models.CASCADE, related_name="files")
    filename = models.CharField(max_length=255)
    kind = models.CharField(max_length=10, choices=FILE_KINDS)
    format = models.CharField(max_length=30)
    size = models.BigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    storage_key = models.CharField(max_length=1024)
    scan_status = models.CharField(max_length=10, choices=FILE_SCANS, default=ScanStatus.PENDING)
    scan_reasons = models.JSONField(default=list, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    scanned_at = models.DateTimeField(null=True, blank=True)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta(BaseModel.Meta):
        verbose_name = "model file"
        ordering = ["filename"]
        constraints = [
            models.UniqueConstraint(fields=("model", "filename"), name="catalog_file_name_once"),
            models.CheckConstraint(condition=Q(size__gte=0), name="catalog_file_size_not_negative"),
        ]
        indexes = [
            models.Index(
                fields=("created_at",), condition=Q(scan_status=ScanStatus.PENDING), name="catalog_file_unscanned"
            )
        ]

    def __str__(self) -> str:
        return self.filename


class ExternalSecret(BaseModel):
    """The provider's API key of an external model, encrypted; written, used, never shown."""

    model = models.OneToOneField(ModelEntry, on_delete=models.CASCADE, related_name="external_secret")
    ciphertext = models.TextField()
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta(BaseModel.Meta):
        verbose_name = "external secret"

    def __str__(self) -> str:
        return f"API key of {self.model_id}"


class LineageEdge(BaseModel):
    """A link from what came first (source) to what was made of it or runs it (target).

    Ends are named by kind and id, not by foreign keys: they live in apps above and below this one.
    """

    source_kind = models.CharField(max_length=30)
    source_id = models.UUIDField()
    target_kind = models.CharField(max_length=30)
    target_id = models.UUIDField()
    relation = models.CharField(max_length=20, choices=LineageRelation.choices)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta(BaseModel.Meta):
        verbose_name = "lineage edge"
        constraints = [
            models.UniqueConstraint(
                fields=("target_kind", "target_id", "source_kind", "source_id", "relation"),
                name="catalog_lineage_edge_once",
            ),
            models.CheckConstraint(
                condition=~Q(source_kind=models.F("target_kind"), source_id=models.F("target_id")),
                name="catalog_lineage_no_self",
            ),
        ]
        indexes = [models.Index(fields=("source_kind", "source_id"), name="catalog_lineage_downstream")]

    def __str__(self) -> str:
        return f"{self.source_kind} {self.source_id} → {self.target_kind} {self.target_id}"


class DiscardedFiles(BaseModel):
    """Bytes in the store that have to go; the row is removed once they are gone.

    Written in the transaction that drops their rows (or before an upload begins, for the time after it broke),
    so that no crash leaves orphans.
    """

    prefix = models.CharField(max_length=1024, unique=True)
    due_at = models.DateTimeField(db_index=True)

    class Meta(BaseModel.Meta):
        verbose_name = "discarded files"
        verbose_name_plural = "discarded files"

    def __str__(self) -> str:
        return self.prefix


class ModelSignature(BaseModel):
    """The portal's signature over the files of an approved model; the same text lies beside the files.

    Made anew with every approval. ``digest`` is the approval's; ``root_digest`` covers the files' hashes.
    """

    model = models.OneToOneField(ModelEntry, on_delete=models.CASCADE, related_name="signature")
    status = models.CharField(max_length=10, choices=SignatureStatus.choices, default=SignatureStatus.PENDING)
    bundle = models.TextField(blank=True, default="")
    key_id = models.CharField(max_length=64, blank=True, default="")
    digest = models.CharField(max_length=64)
    root_digest = models.CharField(max_length=64, blank=True, default="")
    problems = models.JSONField(default=list, blank=True)
    signed_at = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta(BaseModel.Meta):
        verbose_name = "model signature"
        constraints = [
            models.CheckConstraint(
                condition=~Q(status=SignatureStatus.VALID) | ~Q(bundle=""), name="catalog_signature_valid_has_bundle"
            )
        ]

    def __str__(self) -> str:
        return f"signature of {self.model_id} ({self.status})"


class ApprovedSources(BaseModel):
    """What a model was made of when it was approved: the whole closure, with the state of each thing then.

    ``pins`` holds ``{"kind", "id", "digest", "approved"}`` per dataset and base model, at any depth.
    """

    model = models.OneToOneField(ModelEntry, on_delete=models.CASCADE, related_name="approved_sources")
    pins = models.JSONField(default=list)

    class Meta(BaseModel.Meta):
        verbose_name = "approved sources"
        verbose_name_plural = "approved sources"
        indexes = [GinIndex(fields=["pins"], opclasses=["jsonb_path_ops"], name="catalog_sources_pins")]

    def __str__(self) -> str:
        return f"sources of {self.model_id}"


class Publication(TeamOwnedModel):
    """One wish that a version be the published one of its name; together they are the name's history."""

    AUDIT_TYPE: ClassVar[str] = "model_publication"
    SHARED_STATUSES: ClassVar[tuple[str, ...]] = ()

    model = models.ForeignKey(ModelEntry, on_delete=models.CASCADE, related_name="publications")
    name = models.CharField(max_length=200)
    type = models.CharField(max_length=20, choices=ModelType.choices)
    status = models.CharField(max_length=12, choices=PublicationStatus.choices)
    replaces = models.ForeignKey(ModelEntry, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=1000, blank=True, default="")
    published_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta(TeamOwnedModel.Meta):
        verbose_name = "publication"
        constraints = [
            models.UniqueConstraint(
                fields=("team", "name", "type"),
                condition=Q(status=PublicationStatus.CURRENT),
                name="catalog_publication_one_current",
            ),
            models.UniqueConstraint(
                fields=("team", "name", "type"),
                condition=Q(status=PublicationStatus.PENDING),
                name="catalog_publication_one_pending",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} as the published version"
