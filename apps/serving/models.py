"""Tables of serving: endpoints, their numbered revisions, and what health checks found."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from guardian.models import UserObjectPermissionBase

from apps.core import clock
from apps.core.models import BaseModel, TeamOwnedModel
from apps.serving.types import EndpointStatus, Environment, RevisionChange, RevisionStatus, route_path


class Endpoint(TeamOwnedModel):
    """A route in an environment and what answers there.

    ``wanted`` is the newest revision; ``active`` the one that calls go to. They differ while a revision comes
    up, and when it failed to: the earlier one then keeps answering.
    """

    AUDIT_TYPE: ClassVar[str] = "serving_endpoint"
    SHARED_STATUSES: ClassVar[tuple[str, ...]] = ()

    model = models.ForeignKey("catalog.ModelEntry", on_delete=models.PROTECT, related_name="+")
    environment = models.CharField(max_length=8, choices=Environment.choices)
    route = models.CharField(max_length=100, help_text="Bare name; the full path is /llm-ops/v1/serve/<route>.")
    version = models.CharField(max_length=64)
    status = models.CharField(max_length=12, choices=EndpointStatus.choices, default=EndpointStatus.DEPLOYING)
    status_detail = models.TextField(blank=True, default="")
    wanted = models.ForeignKey("EndpointRevision", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    active = models.ForeignKey("EndpointRevision", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    min_replicas = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])
    max_replicas = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])
    autoscale_policy = models.JSONField(null=True, blank=True)
    prompt_policy_id = models.UUIDField(null=True, blank=True)
    rollback_plan = models.TextField(blank=True, default="")
    stop_requested = models.BooleanField(default=False)
    delete_requested_at = models.DateTimeField(null=True, blank=True)
    delete_requested_by = models.ForeignKey(
        "accounts.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    delete_problem = models.TextField(blank=True, default="", help_text="What keeps it from being deleted.")
    last_health_check_at = models.DateTimeField(null=True, blank=True)
    last_health_ok = models.BooleanField(null=True)
    health_failures = models.PositiveIntegerField(default=0, help_text="Failed health checks in a row.")

    class Meta(TeamOwnedModel.Meta):
        verbose_name = "endpoint"
        permissions = [
            ("invoke_endpoint", "Can call an endpoint"),
            ("deploy_endpoint", "Can deploy a revision"),
            ("rollback_endpoint", "Can roll an endpoint back"),
            ("stop_endpoint", "Can stop an endpoint"),
        ]
        constraints = [
            # One that is being deleted has given its route back already.
            models.UniqueConstraint(
                fields=["environment", "route"],
                condition=Q(delete_requested_at=None),
                name="serving_route_once",
            ),
            models.CheckConstraint(condition=Q(status__in=EndpointStatus.values), name="serving_endpoint_status_known"),
            models.CheckConstraint(condition=Q(environment__in=Environment.values), name="serving_environment_known"),
            models.CheckConstraint(condition=Q(max_replicas__gte=F("min_replicas")), name="serving_replicas_in_order"),
        ]
        indexes = [
            models.Index(fields=["team", "-created_at"], name="serving_endpoint_team"),
            models.Index(fields=["model"], name="serving_endpoint_model"),
        ]

    def __str__(self) -> str:
        return f"{self.route} ({self.environment})"

    @property
    def path(self) -> str:
        """The route as it is stored in the contract."""
        return route_path(self.route)

    @property
    def serving(self) -> bool:
        """Whether calls are answered now."""
        return (
            self.active is not None
            and self.active.status == RevisionStatus.READY
            and not self.stop_requested
            and self.delete_requested_at is None
        )

    def get_absolute_url(self) -> str:
        """The endpoint's page."""
        return reverse("serving:endpoint-detail", args=[self.pk])


class EndpointGrant(UserObjectPermissionBase):
    """A single grant on one endpoint."""

    content_object = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="grants")

    class Meta(UserObjectPermissionBase.Meta):
        abstract = False


class EndpointRevision(TeamOwnedModel):
    """One attempt at serving something at a route: what exactly, why, and how it went. Never changed afterwards
    but in its state."""

    AUDIT_TYPE: ClassVar[str] = "serving_endpoint"
    SHARED_STATUSES: ClassVar[tuple[str, ...]] = ()

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    model = models.ForeignKey("catalog.ModelEntry", on_delete=models.PROTECT, related_name="+")
    model_name = models.CharField(max_length=200)
    model_version = models.CharField(max_length=64)
    model_digest = models.CharField(max_length=64, help_text="What was approved and is served.")
    runtime = models.CharField(max_length=32)
    change = models.CharField(max_length=12, choices=RevisionChange.choices)
    restores = models.PositiveIntegerField(null=True, blank=True, help_text="Number rolled back to.")
    spec = models.JSONField(help_text="Everything it runs with.")
    status = models.CharField(max_length=10, choices=RevisionStatus.choices, default=RevisionStatus.PENDING)
    status_detail = models.TextField(blank=True, default="")
    attempt = models.PositiveIntegerField(default=0, help_text="Workloads submitted so far.")
    restarts = models.PositiveIntegerField(default=0, help_text="Deaths since it was last well.")
    workload_id = models.UUIDField(null=True, blank=True)
    base_url = models.CharField(max_length=500, blank=True, default="")
    upstream_model = models.CharField(max_length=500, blank=True, default="")
    ready_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta(TeamOwnedModel.Meta):
        verbose_name = "revision"
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "number"], name="serving_revision_number_once"),
            models.CheckConstraint(condition=Q(status__in=RevisionStatus.values), name="serving_revision_status_known"),
        ]
        indexes = [
            models.Index(
                fields=["status"],
                condition=Q(
                    status__in=[
                        RevisionStatus.WAITING,
                        RevisionStatus.PENDING,
                        RevisionStatus.STARTING,
                        RevisionStatus.READY,
                    ]
                ),
                name="serving_revision_live",
            )
        ]

    def __str__(self) -> str:
        return f"{self.endpoint.route} revision {self.number}"

    def get_absolute_url(self) -> str:
        """The endpoint's page, where revisions are listed."""
        return reverse("serving:endpoint-detail", args=[self.endpoint_id])

    @property
    def work_folder(self) -> str:
        """Folder of its files, below the run-time folder."""
        return f"work/serving/{self.pk}"


class HealthCheck(BaseModel):
    """What one look at an endpoint's model server found. Only the newest are kept."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="health_checks")
    revision = models.ForeignKey(EndpointRevision, on_delete=models.CASCADE, related_name="+")
    checked_at = models.DateTimeField(default=clock.now)
    ok = models.BooleanField()
    latency_ms = models.FloatField(null=True, blank=True)
    detail = models.CharField(max_length=500, blank=True, default="")

    class Meta(BaseModel.Meta):
        verbose_name = "health check"
        ordering = ["-checked_at"]
        indexes = [models.Index(fields=["endpoint", "-checked_at"], name="serving_health_newest")]

    def __str__(self) -> str:
        return f"{self.endpoint_id} {'well' if self.ok else 'unwell'} at {self.checked_at:%H:%M:%S}"
