"""Signatures of models: their state, verification, and what others need to verify them elsewhere."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.response import Response

from apps.catalog import selectors, services
from apps.catalog.models import ModelSignature
from apps.core.api.schema import api_schema
from apps.core.api.serializers import ApiSerializer
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import NotFound, Unavailable
from apps.integrations.signing import SIGNATURE_NAME, SigningError


class SignatureSerializer(ApiSerializer):
    """A model's signature; ``problems`` says why it is broken."""

    status = serializers.ChoiceField(choices=["pending", "valid", "broken"])
    key_id = serializers.CharField(allow_blank=True)
    digest = serializers.CharField()
    root_digest = serializers.CharField(allow_blank=True)
    problems = serializers.ListField(child=serializers.CharField())
    signed_at = serializers.DateTimeField(allow_null=True)
    verified_at = serializers.DateTimeField(allow_null=True)


class SigningKeySerializer(ApiSerializer):
    """A public key that signatures are checked with, in PEM form."""

    key_id = serializers.CharField()
    public_key = serializers.CharField(source="pem")
    current = serializers.BooleanField()


class ModelOperationSerializer(ApiSerializer):
    """The background work to poll."""

    operation_id = serializers.UUIDField(source="pk")
    status = serializers.CharField()
    message = serializers.CharField(allow_blank=True)


def _signature(request: ApiRequest, model_id: str) -> ModelSignature:
    model = selectors.model_get(actor=request.user, model_id=model_id)
    row = selectors.model_signature(model)
    if row is None:
        raise NotFound(f"{model} is not signed: models with files are signed when they are approved.")
    return row


class ModelSignatureView(ApiView):
    """The signature's state."""

    @api_schema(summary="Signature of a model", responses=SignatureSerializer)
    def get(self, request: ApiRequest, model_id: str) -> Response:
        """404 for a model that was never signed."""
        self.refuse_unknown(request)
        return self.success(SignatureSerializer(_signature(request, model_id)).data)


class ModelSignatureFileView(ApiView):
    """The signature itself."""

    @api_schema(summary="Download the signature (model.sig)", binary=True)
    def get(self, request: ApiRequest, model_id: str) -> Any:
        """For ``model_signing verify key … --signature model.sig --public-key portal.pub``."""
        self.refuse_unknown(request)
        row = _signature(request, model_id)
        if not row.bundle:
            raise NotFound("The signature is still being made; ask again in a moment.")
        response = HttpResponse(row.bundle, content_type="application/vnd.dev.sigstore.bundle.v0.3+json")
        response["Content-Disposition"] = f'attachment; filename="{SIGNATURE_NAME}"'
        return response


class ModelVerifyView(ApiView):
    """Verification on demand."""

    @api_schema(summary="Verify a model's signature", responses=ModelOperationSerializer)
    def post(self, request: ApiRequest, model_id: str) -> Response:
        """Reads every byte in the background; asking again joins the running one."""
        operation = services.model_verify(actor=request.user, model_id=model_id)
        return self.success(ModelOperationSerializer(operation).data, "The verification has started.")


class SigningKeyListView(ApiView):
    """Public keys."""

    @api_schema(summary="Public keys that verify signatures", responses=SigningKeySerializer(many=True))
    def get(self, request: ApiRequest) -> Response:
        """The signing key's first; empty before anything was signed."""
        self.refuse_unknown(request)
        try:
            keys = selectors.signing_public_keys()
        except SigningError as error:
            raise Unavailable(f"The signing keys cannot be read: {error.message}") from error
        return self.success(SigningKeySerializer(keys, many=True).data)
