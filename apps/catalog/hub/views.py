"""The routes of the Hugging Face Hub that its clients need to pull a model, below ``/hf``.

``HF_ENDPOINT=<portal>/hf`` and a portal token as ``HF_TOKEN`` are all that an unmodified ``huggingface_hub``,
transformers, vLLM or TGI needs. Read-only. Answers and errors have the Hub's form, not the envelope: clients tell
errors apart by ``X-Error-Code``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from apps.accounts.models import User
from apps.accounts.services import token_authenticate
from apps.catalog.hub.repositories import (
    EntryNotFound,
    HubFile,
    RepositoryNotFound,
    RevisionNotFound,
    Snapshot,
    approved_models,
    commit_of,
    hub_moment,
    repository_id,
    repository_versions,
    revision_find,
    tree_entry,
)
from apps.catalog.services.downloads import download_record, model_require_downloadable, stored_bytes_changed
from apps.core import audit
from apps.core.errors import DomainError, NotAuthenticated, NotFound, PermissionRefused, ValidationFailed
from apps.core.permissions import Scope
from apps.core.web.objects import object_response, text_response

logger = logging.getLogger(__name__)

LIST_LIMIT = 100
LIST_MAXIMUM = 1_000
PATHS_LIMIT = 1_000
CODES: tuple[tuple[type[DomainError], str], ...] = (
    (RevisionNotFound, "RevisionNotFound"),
    (EntryNotFound, "EntryNotFound"),
    (NotFound, "RepoNotFound"),
)
#: The Hub's words; its clients look for them.
BAD_CREDENTIALS = "Invalid credentials in Authorization header"


def refusal(error: DomainError) -> HttpResponse:
    """An error as the Hub's clients understand it."""
    response = JsonResponse({"error": error.message}, status=error.status_code)
    code = next((code for kind, code in CODES if isinstance(error, kind)), "")
    message = error.message
    if isinstance(error, NotAuthenticated):
        response["WWW-Authenticate"] = 'Bearer realm="llm-ops"'
        code = "" if error.code == "bad_token" else "RepoNotFound"
        message = BAD_CREDENTIALS if error.code == "bad_token" else error.message
    if code:
        response["X-Error-Code"] = code
    # Headers are Latin-1 and one line; names may be anything.
    response["X-Error-Message"] = " ".join(message.split()).encode("ascii", "replace").decode()[:400]
    return response


@method_decorator([csrf_exempt, login_not_required], name="dispatch")
class HubView(View):
    """Base: bearer tokens only (no session, so no CSRF), the Hub's errors, denials audited."""

    http_method_names = ["get", "head", "options"]
    actor: User

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Authenticate, answer, translate refusals."""
        try:
            self.actor = caller(request)
            request.user = self.actor
            response = super().dispatch(request, *args, **kwargs)
        except DomainError as error:
            audit.record_denial(error)
            response = refusal(error)
        except (SuspiciousOperation, MultiPartParserError, RequestDataTooBig) as error:
            response = refusal(ValidationFailed(f"The request could not be read: {error}"))
        response.headers.setdefault("Cache-Control", "private, no-cache")
        response.headers.setdefault("Vary", "Authorization")
        return response

    def snapshot(self, namespace: str, name: str, revision: str = "main") -> Snapshot:
        """The approved version that the caller asks for and may pull."""
        versions = repository_versions(actor=self.actor, namespace=namespace, name=name)
        model = revision_find(versions, revision)
        model_require_downloadable(actor=self.actor, model=model)
        return Snapshot(model)

    def answer(self, data: Any, commit: str = "") -> HttpResponse:
        """JSON with the commit that it is about."""
        response = JsonResponse(data, safe=False)
        if commit:
            response["X-Repo-Commit"] = commit
        return response


def caller(request: HttpRequest) -> User:
    """Who sent the bearer token; raises ``NotAuthenticated``, ``PermissionRefused`` for a token that may not read."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if not value.strip():
        raise NotAuthenticated(
            "Send a portal token: set HF_TOKEN, or pass token=. Make one at /account/tokens/ with the scope 'read'."
        )
    if kind.lower() != "bearer" or not value.isascii():
        raise NotAuthenticated("Send the header as 'Authorization: Bearer <token>'.", code="bad_token")
    try:
        user = token_authenticate(value.strip())
    except NotAuthenticated as error:
        raise NotAuthenticated(error.message, code="bad_token") from error
    if Scope.READ not in (user.token_scopes or ()):
        raise PermissionRefused("This token may not read. Use one with the scope 'read'.")
    return user


class WhoAmIView(HubView):
    """``whoami``."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The token's owner, in the Hub's words."""
        user = self.actor
        token = user.token
        return self.answer(
            {
                "type": "user",
                "id": user.pk.hex[:24],
                "name": user.get_username(),
                "fullname": user.display_name,
                "canPay": False,
                "isPro": False,
                "orgs": [],
                "auth": {
                    "type": "access_token",
                    "accessToken": {"displayName": token.name if token is not None else "", "role": "read"},
                },
            }
        )


class ModelListView(HubView):
    """``list_models``."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Approved models of ``author`` or with ``search`` in the name; one entry per repository."""
        limit, page = (_number(request.GET, name, default) for name, default in (("limit", LIST_LIMIT), ("p", 0)))
        limit = max(1, min(limit, LIST_MAXIMUM))
        models = approved_models(self.actor)
        # PostgreSQL's text holds no NUL, so no name does.
        author, search = (request.GET.get(name, "").replace("\x00", "") for name in ("author", "search"))
        if author:
            models = models.filter(team__slug=author.lower())
        if search:
            models = models.filter(name__icontains=search)
        # One row per repository: its newest version.
        newest = models.order_by("team__slug", "name", "-version_key", "-approved_at").distinct("team__slug", "name")
        rows = list(newest[page * limit : (page + 1) * limit + 1])
        response = self.answer([_listed(model) for model in rows[:limit]])
        if len(rows) > limit:
            query = urlencode({**request.GET.dict(), "limit": limit, "p": page + 1})
            response["Link"] = f'<{request.build_absolute_uri(request.path)}?{query}>; rel="next"'
        return response


def _listed(model: Any) -> dict[str, Any]:
    name = repository_id(model)
    return {
        "_id": model.pk.hex[:24],
        "id": name,
        "modelId": name,
        "author": model.team.slug,
        "sha": commit_of(model),
        "private": model.visibility != "organisation",
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "createdAt": hub_moment(model.created_at),
    }


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise ValidationFailed(f"{name}={text[:20]} is not a number that can be used.")
    return int(text)


class ModelInfoView(HubView):
    """``model_info``, also with a revision."""

    def get(self, request: HttpRequest, namespace: str, name: str, revision: str = "main") -> HttpResponse:
        """The version's commit, card and files."""
        snapshot = self.snapshot(namespace, name, revision)
        return self.answer(snapshot.info(blobs=request.GET.get("blobs", "").lower() in ("true", "1")), snapshot.commit)


class TreeView(HubView):
    """``list_repo_tree`` and what is built on it (``list_repo_files``, ``snapshot_download``)."""

    def get(self, request: HttpRequest, namespace: str, name: str, revision: str, path: str = "") -> HttpResponse:
        """All files: repositories here have no folders."""
        snapshot = self.snapshot(namespace, name, revision)
        if path.strip("/"):
            raise EntryNotFound(f"{snapshot.model} has no folder {path[:200]}.")
        return self.answer([tree_entry(file) for file in snapshot.files], snapshot.commit)


class PathsInfoView(HubView):
    """``get_paths_info``."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, namespace: str, name: str, revision: str) -> HttpResponse:
        """The entries of the asked paths that exist."""
        snapshot = self.snapshot(namespace, name, revision)
        wanted = set(_paths(request))
        return self.answer([tree_entry(file) for file in snapshot.files if file.path in wanted], snapshot.commit)


def _paths(request: HttpRequest) -> list[str]:
    if (request.content_type or "").startswith("application/json"):
        try:
            paths = json.loads(request.body).get("paths")
        except (ValueError, AttributeError, RecursionError) as error:
            raise ValidationFailed('Send {"paths": ["config.json"]}.') from error
    else:
        paths = request.POST.getlist("paths")
    if not isinstance(paths, list) or len(paths) > PATHS_LIMIT or not all(isinstance(path, str) for path in paths):
        raise ValidationFailed(f"paths must be a list of at most {PATHS_LIMIT} texts.")
    return paths


class RefsView(HubView):
    """``list_repo_refs``."""

    def get(self, request: HttpRequest, namespace: str, name: str) -> HttpResponse:
        """``main`` and one tag per approved version."""
        versions = repository_versions(actor=self.actor, namespace=namespace, name=name)
        tags = [
            {"name": model.version, "ref": f"refs/tags/{model.version}", "targetCommit": commit_of(model)}
            for model in versions
        ]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": commit_of(revision_find(versions, "main"))}
        return self.answer({"branches": [main], "converts": [], "tags": tags, "pullRequests": []})


class AuthCheckView(HubView):
    """``auth_check``."""

    def get(self, request: HttpRequest, namespace: str, name: str) -> HttpResponse:
        """200 where the caller may pull."""
        self.snapshot(namespace, name)
        return self.answer({})


class ResolveView(HubView):
    """The files themselves."""

    def get(self, request: HttpRequest, namespace: str, name: str, revision: str, path: str) -> HttpResponseBase:
        """GET and HEAD, with ranges; every GET that sends bytes is audited."""
        snapshot = self.snapshot(namespace, name, revision)
        try:
            file = snapshot.file(path)
        except EntryNotFound as error:
            # With the commit, clients remember that the file does not exist there.
            response = refusal(error)
            response["X-Repo-Commit"] = snapshot.commit
            return response
        headers = {
            "X-Repo-Commit": snapshot.commit,
            "X-Linked-Size": str(file.size),
            "X-Linked-ETag": f'"{file.sha256}"',
        }
        if file.content is not None:
            self._record(snapshot, file, 0, file.size)
            return text_response(request, file.content, content_type="text/markdown; charset=utf-8", headers=headers)
        return object_response(
            request,
            file.sent,
            headers=headers,
            on_changed=lambda: stored_bytes_changed(model=snapshot.model, filename=file.path),
            on_send=lambda start, end: self._record(snapshot, file, start, end),
        )

    def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The same without the bytes."""
        return self.get(request, *args, **kwargs)

    def _record(self, snapshot: Snapshot, file: HubFile, start: int, end: int) -> None:
        if self.request.method == "HEAD":
            return
        download_record(
            actor=self.actor,
            model=snapshot.model,
            filename=file.path,
            start=start,
            end=end,
            size=file.size,
            agent=self.request.headers.get("User-Agent", ""),
        )


class NothingHereView(HubView):
    """Everything else that a hub would have."""

    def get(self, request: HttpRequest, path: str = "") -> HttpResponse:
        """404 in the Hub's form."""
        raise RepositoryNotFound(
            f"There is nothing at {request.path}. The portal serves approved models as <team>/<model>, read-only."
        )

    post = put = patch = delete = get
    http_method_names = ["get", "head", "post", "put", "patch", "delete", "options"]
