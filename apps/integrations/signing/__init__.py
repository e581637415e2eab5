"""Signatures over model files in the OpenSSF model-signing format, and the keys that make and check them.

The format's library takes a second to import, so only the process that signs or verifies pays for it: ask
:func:`model_signer` for the adapter where it is needed. Keys (:mod:`keys`) need no such library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Protocol, cast

from apps.integrations.signing.keys import KeyRing, PublicKey, SigningError

__all__ = ["KeyRing", "ModelSigner", "PublicKey", "SignedModel", "SigningError", "VerifiedModel", "model_signer"]

#: Name of the signature beside the files; left out of what is signed.
SIGNATURE_NAME = "model.sig"


@dataclass(frozen=True, slots=True)
class SignedModel:
    """A signature: the bundle's text, the key that made it, and the SHA-256 (hex) over all files' hashes."""

    bundle: str
    key_id: str
    root_digest: str


@dataclass(frozen=True, slots=True)
class VerifiedModel:
    """What an authentic signature vouches for: SHA-256 (hex) by file name, and the key that made it."""

    digests: Mapping[str, str]
    key_id: str


class ModelSigner(Protocol):
    """Signs and checks manifests: hashes by file name. Reading and hashing the files is the caller's part."""

    def sign(self, keys: KeyRing, *, name: str, digests: Mapping[str, str]) -> SignedModel:
        """Sign *digests* (SHA-256 in hex by file name). Raises ``SigningError``."""

    def verify(self, keys: KeyRing, bundle: str) -> VerifiedModel:
        """Check that a trusted key signed *bundle* and return its content. Raises ``SigningError``."""


@cache
def model_signer() -> ModelSigner:
    """The adapter; imported at the first call."""
    return cast("ModelSigner", import_module("apps.integrations.signing.openssf").OpenSsfSigner())
