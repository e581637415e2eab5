"""``…/uploads``: files of any size, in pieces. Each app routes these views with its own ``target_type``.

The verbs and headers are those of tus 1.0 (core, creation, checksum, termination, expiration), so that tus clients
work: a request with ``Tus-Resumable`` is answered in the codes they expect (201, 204), every other one in the envelope.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.response import Response

from apps.core.api.endpoints import OperationSerializer
from apps.core.api.schema import api_schema
from apps.core.api.serializers import ApiSerializer
from apps.core.api.views import ApiRequest, ApiView
from apps.core.errors import UnsupportedMedia, ValidationFailed
from apps.core.models import UploadSession
from apps.core.uploads.finishing import uploads_finish
from apps.core.uploads.sessions import (
    CHECKSUMS,
    Checksum,
    OffsetMismatch,
    upload_append,
    upload_cancel,
    upload_create,
    upload_get,
    uploads_of,
)
from apps.core.uploads.targets import targets

TUS = "1.0.0"
PIECE = "application/offset+octet-stream"
_MAX_DIGITS = 18


class UploadSessionSerializer(ApiSerializer):
    """One file on its way in."""

    id = serializers.UUIDField()
    target_type = serializers.CharField()
    target_id = serializers.UUIDField()
    filename = serializers.CharField()
    size = serializers.IntegerField()
    offset = serializers.IntegerField()
    progress = serializers.IntegerField()
    status = serializers.CharField()
    chunk_size = serializers.SerializerMethodField()
    sha256 = serializers.CharField()
    expires_at = serializers.DateTimeField()
    operation_id = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()

    def get_chunk_size(self, session: UploadSession) -> int:
        """A good size for one piece, in bytes."""
        return settings.UPLOAD_CHUNK_BYTES


class UploadSessionCreateSerializer(ApiSerializer):
    """A file to come."""

    filename = serializers.CharField(max_length=1000, trim_whitespace=False)
    size = serializers.IntegerField(min_value=0, max_value=2**62)
    sha256 = serializers.CharField(max_length=64, required=False, default="", allow_blank=True)


class UploadsCompleteSerializer(ApiSerializer):
    """Which received files to take."""

    upload_ids = serializers.ListField(child=serializers.CharField(max_length=64), required=False, default=list)


class _UploadsView(ApiView):
    """What both addresses share."""

    target_type: ClassVar[str] = ""
    tus_extensions = "creation,checksum,termination,expiration"

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """What of tus is spoken here."""
        response: Response = _bare(204)
        response["Tus-Version"] = TUS
        response["Tus-Extension"] = self.tus_extensions
        response["Tus-Checksum-Algorithm"] = ",".join(CHECKSUMS)
        response["Tus-Max-Size"] = str(settings.UPLOAD_MAX_FILE_BYTES)
        return response

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Every answer names the protocol's version."""
        final = super().finalize_response(request, response, *args, **kwargs)
        final["Tus-Resumable"] = TUS
        return final

    def handle_exception(self, exc: Exception) -> Response:
        """A client that lost count learns the offset from the refusal itself."""
        response = super().handle_exception(exc)
        if isinstance(exc, OffsetMismatch):
            response["Upload-Offset"] = str(exc.offset)
        return response

    def spoken(self, request: ApiRequest, session: UploadSession, status: int, message: str = "") -> Response:
        """The session, in the dialect that the request spoke; headers say the same in both."""
        if "Tus-Resumable" in request.headers and request.method not in {"GET", "HEAD"}:
            response = _bare(status)  # tus answers have no body; the renderer would wrap nothing into an envelope
        else:
            response = self.success(UploadSessionSerializer(session).data, message)
        response["Upload-Offset"] = str(session.offset)
        response["Upload-Length"] = str(session.size)
        response["Upload-Expires"] = http_date(session.expires_at.timestamp())
        response["Cache-Control"] = "no-store"
        return response


def _bare(status: int) -> Any:
    response = HttpResponse(status=status)
    response.headers.pop("Content-Type", None)
    return response


class UploadsView(_UploadsView):
    """Uploads to one thing."""

    @api_schema(summary="Unfinished uploads of the caller", responses=UploadSessionSerializer, many=True)
    def get(self, request: ApiRequest, target_id: str) -> Response:
        """The caller's own, newest first, with those that ended in the last days."""
        thing = targets.get(self.target_type).require(actor=request.user, target_id=target_id)
        mine = uploads_of(actor=request.user, target_type=self.target_type, target_id=thing.pk)
        return self.page(request, mine, UploadSessionSerializer)

    @api_schema(
        summary="Begin an upload in pieces",
        request=UploadSessionCreateSerializer,
        responses=UploadSessionSerializer,
    )
    def post(self, request: ApiRequest, target_id: str) -> Response:
        """Announces one file; its bytes follow with PATCH to ``…/uploads/{id}``, in order, each piece with its
        ``Upload-Offset``. tus clients announce by ``Upload-Length`` and ``Upload-Metadata`` instead of a body."""
        self.refuse_unknown(request)
        fields = _from_headers(request) if "Upload-Length" in request.headers else {}
        if not fields:
            fields = self.validated(UploadSessionCreateSerializer, request)
        session = upload_create(actor=request.user, target_type=self.target_type, target_id=target_id, **fields)
        response = self.spoken(request, session, 201, f"Send the bytes of {session} with PATCH, beginning at offset 0.")
        response["Location"] = request.build_absolute_uri(f"{request.path.rstrip('/')}/{session.pk}")
        return response


class UploadView(_UploadsView):
    """One upload."""

    def _session(self, request: ApiRequest, target_id: str, upload_id: str) -> UploadSession:
        return upload_get(actor=request.user, target_type=self.target_type, target_id=target_id, upload_id=upload_id)

    @api_schema(summary="How far an upload is", responses=UploadSessionSerializer)
    def get(self, request: ApiRequest, target_id: str, upload_id: str) -> Response:
        """Also as HEAD: ``Upload-Offset`` says where to go on."""
        self.refuse_unknown(request)
        return self.spoken(request, self._session(request, target_id, upload_id), 200)

    @api_schema(
        summary="Send a piece",
        request={PIECE: OpenApiTypes.BINARY},
        responses=UploadSessionSerializer,
        headers={"Upload-Offset": True, "Upload-Checksum": False},
        failures=(460,),
    )
    def patch(self, request: ApiRequest, target_id: str, upload_id: str) -> Response:
        """Bytes from ``Upload-Offset`` on. 409 with the right ``Upload-Offset`` when they do not follow what is
        there; 460 when ``Upload-Checksum: sha256 <base64>`` does not fit, and nothing of the piece is kept."""
        session = self._session(request, target_id, upload_id)
        kind = (request.content_type or "").split(";")[0].strip().lower()
        if kind != PIECE:
            raise UnsupportedMedia(f"Send the piece as {PIECE}, not {kind or 'without a content type'}.")
        offset = _header_number(request, "Upload-Offset")
        if offset is None:
            raise ValidationFailed.field(
                "uploadOffset", "required", "Send the header Upload-Offset: where in the file this piece begins."
            )
        raw = request._request
        session = upload_append(
            session=session,
            offset=offset,
            stream=raw,
            length=_header_number(request, "Content-Length") if request.headers.get("Content-Length") else None,
            checksum=_checksum(request.headers.get("Upload-Checksum", "")),
        )
        return self.spoken(request, session, 204, f"{session.offset:,} of {session.size:,} bytes are here.")

    @api_schema(summary="Cancel an upload")
    def delete(self, request: ApiRequest, target_id: str, upload_id: str) -> Response:
        """Its bytes are removed."""
        session = self._session(request, target_id, upload_id)
        upload_cancel(session=session, actor=request.user)
        if "Tus-Resumable" in request.headers:
            bare: Response = _bare(204)
            return bare
        return self.success(None, f"The upload of {session} is cancelled.")


class UploadsCompleteView(_UploadsView):
    """Taking received files."""

    @api_schema(summary="Take received files", request=UploadsCompleteSerializer, responses=OperationSerializer)
    def post(self, request: ApiRequest, target_id: str) -> Response:
        """All or none. Large files are hashed and read by a worker: poll the operation. May be repeated."""
        fields = self.validated(UploadsCompleteSerializer, request)
        operation = uploads_finish(actor=request.user, target_type=self.target_type, target_id=target_id, **fields)
        return self.success(
            OperationSerializer(operation).data, operation.message or "The files are being taken; poll the operation."
        )


def _header_number(request: ApiRequest, name: str) -> int | None:
    text = request.headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        raise ValidationFailed.field(name, "invalid", f"{name} must be a whole number of bytes, not {text[:40]!r}.")
    return int(text)


def _from_headers(request: ApiRequest) -> dict[str, Any]:
    """What a tus client announces: ``Upload-Metadata: filename <base64>,sha256 <base64>``."""
    size = _header_number(request, "Upload-Length")
    metadata: dict[str, str] = {}
    for pair in request.headers.get("Upload-Metadata", "").split(","):
        key, _, encoded = pair.strip().partition(" ")
        try:
            metadata[key.lower()] = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValidationFailed.field(
                "uploadMetadata", "invalid", f"Upload-Metadata: the value of {key[:40]!r} is not base64 of UTF-8 text."
            ) from error
    name = metadata.get("filename") or metadata.get("name")
    if not name:
        raise ValidationFailed.field(
            "filename", "required", "Name the file: Upload-Metadata: filename <its name in base64>."
        )
    return {"filename": name, "size": size, "sha256": metadata.get("sha256", "")}


def _checksum(header: str) -> Checksum | None:
    if not header:
        return None
    name, _, encoded = header.strip().partition(" ")
    known = ", ".join(CHECKSUMS)
    if name.lower() not in CHECKSUMS:
        raise ValidationFailed.field(
            "uploadChecksum", "algorithm", f"Upload-Checksum knows {known}, not {name[:20]!r}."
        )
    try:
        return Checksum(name.lower(), base64.b64decode(encoded, validate=True))
    except binascii.Error as error:
        raise ValidationFailed.field(
            "uploadChecksum", "invalid", "Upload-Checksum must be the algorithm, a space and the digest in base64."
        ) from error
