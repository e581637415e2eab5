"""Families of models: which are allowed here, and whether the uploaded files are of the family that was declared."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

from apps.catalog.models import ModelEntry, ModelFile
from apps.catalog.scanning.config_file import FAMILY_BY_MODEL_TYPE
from apps.governance.types import GateResult

ANY = "*"
LABEL = "Family"


def families_allowed() -> Mapping[str, frozenset[str]]:
    """Family name → the model types that count as it, from the setting; types not named there by our own table."""
    allowed: dict[str, frozenset[str]] = {}
    for entry in settings.CATALOG_FAMILIES:
        name, _, listed = entry.partition("=")
        types = {part.strip() for part in listed.split("|") if part.strip()}
        if not types:
            types = {key for key, family in FAMILY_BY_MODEL_TYPE.items() if family == _plain(name)}
        allowed[_plain(name)] = frozenset({_type(part) for part in types} | {_type(name)})
    return allowed


def family_gate(model: ModelEntry) -> GateResult:
    """The family is an allowed one, and config.json (or the GGUF head) says the same as the entry.

    Files that say nothing about it (pickled weights alone) are held to the declared family only.
    """
    allowed = families_allowed()
    declared, read, architecture = _plain(model.model_family), model_type_read(model), model.architecture
    found = architecture or read
    if not declared and not read:
        return GateResult("family", LABEL, True, "Neither the entry nor the files name a family.")
    if ANY not in allowed:
        names = ", ".join(sorted(allowed))
        if declared and declared not in allowed:
            return _refused(
                f"{model.model_family} is not among the families allowed here: {names}.",
                "Choose one of them under Edit, or ask an administrator to allow it (LLMOPS_CATALOG_FAMILIES).",
            )
        if read and not any(_type(read) in types for types in allowed.values()):
            return _refused(
                f"config.json says model_type {read} ({found}), which is of no family allowed here: {names}.",
                "Use a model of an allowed family, or ask an administrator to allow it (LLMOPS_CATALOG_FAMILIES).",
            )
    if declared and read and _type(read) not in allowed.get(declared, frozenset({_type(declared)})):
        own = FAMILY_BY_MODEL_TYPE.get(read, read)
        if _plain(own) != declared:
            return _refused(
                f"The entry says {model.model_family}, but config.json says model_type {read} ({found}).",
                f"Set the family to {own} under Edit, or upload the files that belong to this entry.",
            )
    return GateResult("family", LABEL, True, f"{declared or read}: the files say {found or 'nothing against it'}.")


def model_type_read(model: ModelEntry) -> str:
    """Return the ``model_type`` that the scanned config.json names, else the family that other files name."""
    facts = ModelFile.objects.filter(model=model, format="config").values_list("facts", flat=True).first() or {}
    return str(facts.get("model_type") or model.detected_family)


def _refused(reason: str, remedy: str) -> GateResult:
    return GateResult("family", LABEL, False, reason, remedy)


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", "-")


def _type(name: str) -> str:
    return name.strip().casefold().replace("-", "_")
