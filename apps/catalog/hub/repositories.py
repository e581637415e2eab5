"""Approved models in the words of the Hugging Face Hub: repositories, revisions, commits, files.

A repository is ``<team slug>/<model name>``; its revisions are the approved versions, ``main`` is the published one
(the newest where none is), and a commit is the beginning of the digest that the approval stands for. Drafts, models
under review, external models and whatever the caller may not see do not exist here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from apps.accounts.models import User
from apps.catalog.front_matter import README, card_from_metadata, split_card
from apps.catalog.models import ModelEntry, ModelFile
from apps.catalog.selectors import models_visible_to
from apps.catalog.types import ModelStatus, ModelType
from apps.core.errors import NotFound
from apps.core.versions import InvalidVersion, version_key
from apps.core.web.objects import SentObject

MAIN = ("main", "HEAD", "refs/heads/main")
COMMIT_LENGTH = 40
NAME_LIMIT = 96
_COMMIT = re.compile(r"[0-9a-f]{7,40}", re.IGNORECASE)
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]+")


class RepositoryNotFound(NotFound):
    """No approved model of that name that the caller may see."""


class RevisionNotFound(NotFound):
    """The repository has no such approved version."""


class EntryNotFound(NotFound):
    """The version has no such file."""


def repository_name(name: str) -> str:
    """The model's *name* as the Hub's clients accept one: letters, digits, ``-_.``, at most 96 of them."""
    text = _FOREIGN.sub("-", name)
    text = re.sub(r"-{2,}", "-", re.sub(r"\.{2,}", ".", text)).strip("-.")
    text = text[:NAME_LIMIT].rstrip("-.")
    return f"{text[:-4]}-git" if text.endswith(".git") else text


def repository_id(model: ModelEntry) -> str:
    """``team/name``."""
    return f"{model.team.slug}/{repository_name(model.name)}"


def commit_of(model: ModelEntry) -> str:
    """Forty hex digits that stand for exactly what was approved."""
    return model.digest[:COMMIT_LENGTH]


def approved_models(actor: User | None) -> Any:
    """Approved models with files that exist for *actor*, newest version first."""
    visible = models_visible_to(actor).filter(status=ModelStatus.APPROVED)
    return visible.exclude(type=ModelType.EXTERNAL).order_by("-version_key", "-approved_at")


def repository_versions(*, actor: User | None, namespace: str, name: str) -> list[ModelEntry]:
    """Return the approved versions behind ``namespace/name``, newest first; raises ``RepositoryNotFound``.

    The model's name itself wins over a name that only reads the same in the Hub's alphabet; where two do, neither
    is found: guessing could serve the wrong model.
    """
    if "\x00" not in namespace + name:
        mine = approved_models(actor).filter(team__slug=namespace.lower())
        found = list(mine.filter(name=name))
        if found:
            return found
        names = {other for other in mine.values_list("name", flat=True) if repository_name(other) == name}
        if len(names) == 1:
            return list(mine.filter(name=names.pop()))
    raise RepositoryNotFound(f"There is no approved model {namespace}/{name} that you may see.")


def revision_find(versions: Sequence[ModelEntry], revision: str) -> ModelEntry:
    """Return the version that *revision* names; raises ``RevisionNotFound``.

    ``main`` is the published version where one is, else the newest approved one; then versions, then commits.
    """
    if revision in MAIN:
        return next((model for model in versions if getattr(model, "is_published", False)), versions[0])
    for model in versions:
        if model.version == revision:
            return model
    try:
        key = version_key(revision)
    except InvalidVersion:
        key = ""
    for model in versions:
        if key and model.version_key == key:
            return model
    if _COMMIT.fullmatch(revision):
        matching = [model for model in versions if commit_of(model).startswith(revision.lower())]
        if len(matching) == 1:
            return matching[0]
    raise RevisionNotFound(
        f"{repository_id(versions[0])} has no approved version {revision[:80]}; "
        f"it has {', '.join(model.version for model in versions[:10])}."
    )


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository; ``content`` only for the card that the portal writes itself."""

    path: str
    size: int
    sha256: str
    key: str = ""
    content: bytes | None = None

    @property
    def pointer(self) -> bytes:
        """The git-lfs pointer that stands for the file in a git tree (specification v1)."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @property
    def blob_id(self) -> str:
        """Git's SHA-1 of the pointer."""
        pointer = self.pointer
        return hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False).hexdigest()

    @property
    def sent(self) -> SentObject:
        """For sending."""
        return SentObject(self.key, self.size, self.sha256)


class Snapshot:
    """One approved version as a commit with files."""

    def __init__(self, model: ModelEntry) -> None:
        self.model = model
        self.commit = commit_of(model)
        self.id = repository_id(model)

    @cached_property
    def files(self) -> list[HubFile]:
        """All files by name; with a card also where nobody uploaded a README."""
        rows = [_from_row(row) for row in ModelFile.objects.filter(model=self.model).order_by("filename")]
        if not any(file.path == README for file in rows):
            content = self.card.encode()
            rows.append(HubFile(README, len(content), hashlib.sha256(content).hexdigest(), content=content))
        return sorted(rows, key=lambda file: file.path)

    @cached_property
    def card(self) -> str:
        """The README that stands for the model's card."""
        return card_from_metadata(title=str(self.model), metadata=self.model.metadata, family=self.model.model_family)

    def file(self, path: str) -> HubFile:
        """The file called *path*; raises ``EntryNotFound``."""
        for file in self.files:
            if file.path == path:
                return file
        raise EntryNotFound(f"{self.model} has no file {path[:200]}.")

    def info(self, *, blobs: bool = False) -> dict[str, Any]:
        """What ``model_info`` answers."""
        model = self.model
        front, _ = split_card(self.card)
        tags = _texts(model.metadata.get("tags"))
        names = {file.path for file in self.files}
        info: dict[str, Any] = {
            "_id": model.pk.hex[:24],
            "id": self.id,
            "modelId": self.id,
            "author": model.team.slug,
            "sha": self.commit,
            "createdAt": hub_moment(model.created_at),
            "lastModified": hub_moment(model.approved_at or model.updated_at),
            "private": model.visibility != "organisation",
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": tags,
            "cardData": front,
            "siblings": [_sibling(file, blobs=blobs) for file in self.files],
            "spaces": [],
        }
        if "config.json" in names:
            library = model.metadata.get("library_name")
            info["library_name"] = library if isinstance(library, str) else "transformers"
            info["config"] = {"architectures": [model.architecture], "model_type": model.detected_family}
        if isinstance(task := model.metadata.get("pipeline_tag"), str):
            info["pipeline_tag"] = task
        if model.parameter_count is not None and any(name.endswith(".safetensors") for name in names):
            dtype = (model.dtype or "F32").upper()
            info["safetensors"] = {"parameters": {dtype: model.parameter_count}, "total": model.parameter_count}
        if blobs:
            info["usedStorage"] = sum(file.size for file in self.files)
        return info


def tree_entry(file: HubFile) -> dict[str, Any]:
    """A file as the tree and paths-info routes list it. Every file is listed with its SHA-256, as LFS files are."""
    pointer = len(file.pointer)
    return {
        "type": "file",
        "oid": file.blob_id,
        "size": file.size,
        "path": file.path,
        "lfs": {"oid": file.sha256, "size": file.size, "pointerSize": pointer},
    }


def _from_row(row: ModelFile) -> HubFile:
    return HubFile(row.filename, row.size, row.sha256, key=row.storage_key)


def _sibling(file: HubFile, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": file.path}
    lfs = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
    return {"rfilename": file.path, "size": file.size, "blobId": file.blob_id, "lfs": lfs}


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def hub_moment(value: datetime) -> str:
    """A time as the clients parse it: UTC, milliseconds, Z."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
