"""The published version of a name: publish, roll back, history."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.response import Response

from apps.accounts.api.fields import UsernameField
from apps.catalog import selectors, services
from apps.catalog.models import Publication
from apps.core.api.schema import api_schema
from apps.core.api.serializers import ApiSerializer
from apps.core.api.views import ApiRequest, ApiView
from apps.governance.selectors.approvals import approval_for


class PublishSerializer(ApiSerializer):
    """Why; needed when it goes back to an earlier version."""

    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=1000)


class PublicationSerializer(ApiSerializer):
    """One entry of a name's history; ``pending`` waits at ``/governance/approvals/{approvalId}``."""

    id = serializers.UUIDField()
    model_id = serializers.UUIDField()
    version = serializers.CharField(source="model.version")
    status = serializers.ChoiceField(choices=["pending", "current", "superseded", "refused"])
    replaces_version = serializers.CharField(source="replaces.version", allow_null=True, default=None)
    reason = serializers.CharField(allow_blank=True)
    created_by = UsernameField()
    created_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class PublicationAnswerSerializer(PublicationSerializer):
    """With the approval that it waits for, if it does."""

    approval_id = serializers.SerializerMethodField()

    def get_approval_id(self, publication: Publication) -> str | None:
        """Where the decision is made."""
        request = approval_for(kind=services.PUBLICATION_KIND, subject_id=publication.pk)
        return str(request.pk) if request is not None else None


class _PublishView(ApiView):
    def answer(self, publication: Publication) -> Response:
        """Says what became of it."""
        model = publication.model
        done = f"{model} is the published version."
        waits = f"{model} is to be published again; a reviewer decides."
        return self.success(
            PublicationAnswerSerializer(publication).data, waits if publication.status == "pending" else done
        )


class ModelPublishView(_PublishView):
    """This version."""

    @api_schema(summary="Publish a version", request=PublishSerializer, responses=PublicationAnswerSerializer)
    def post(self, request: ApiRequest, model_id: str) -> Response:
        """At once when it is newer than the published one; else by approval."""
        data = self.validated(PublishSerializer, request)
        return self.answer(services.model_publish(actor=request.user, model_id=model_id, **data))


class ModelRollbackView(_PublishView):
    """The version before."""

    @api_schema(
        summary="Go back to the version before",
        request=PublishSerializer,
        responses=PublicationAnswerSerializer,
    )
    def post(self, request: ApiRequest, model_id: str) -> Response:
        """Any version of the name may be given; a reviewer decides."""
        data = self.validated(PublishSerializer, request)
        return self.answer(services.model_rollback(actor=request.user, model_id=model_id, **data))


class ModelPublicationsView(ApiView):
    """What was published when."""

    @api_schema(summary="Published versions of a model", responses=PublicationSerializer, many=True)
    def get(self, request: ApiRequest, model_id: str) -> Response:
        """Newest first."""
        model = selectors.model_get(actor=request.user, model_id=model_id)
        found = selectors.publications_visible_to(request.user, model)
        return self.page(request, found, PublicationSerializer)
