"""Signing in the OpenSSF model-signing format, by its own library: what it signs, its command line verifies."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import cast

from cryptography.exceptions import InvalidSignature
from model_signing import manifest
from model_signing._hashing import hashing
from model_signing._signing import sign_ec_key, sign_sigstore_pb, signing
from pydantic import ValidationError

from apps.integrations.signing import SIGNATURE_NAME, SignedModel, VerifiedModel
from apps.integrations.signing.keys import KeyRing, SigningError

_HASH = "sha256"


class OpenSsfSigner:
    """The library's signer and verifier for elliptic-curve keys, over hashes that the caller computed."""

    def sign(self, keys: KeyRing, *, name: str, digests: Mapping[str, str]) -> SignedModel:
        """Sign a manifest of files; *name* is informative only."""
        if not digests:
            raise SigningError("There are no files to sign.", code="malformed")
        key = keys.ensure()
        items = [
            manifest.FileManifestItem(
                path=PurePosixPath(filename), digest=hashing.Digest(_HASH, bytes.fromhex(digests[filename]))
            )
            for filename in sorted(digests)
        ]
        kind = manifest.SerializationType.from_args(
            {"method": "files", "hash_type": _HASH, "allow_symlinks": False, "ignore_paths": [SIGNATURE_NAME]}
        )
        payload = signing.Payload(manifest.Manifest(name, items, kind))
        signature = sign_ec_key.Signer(keys.private_path).sign(payload)
        bundle = cast("sign_sigstore_pb.Signature", signature).bundle
        return SignedModel(bundle.to_json(), key.key_id, payload.statement.pb.subject[0].digest[_HASH])

    def verify(self, keys: KeyRing, bundle: str) -> VerifiedModel:
        """Check the bundle with the trusted key that it names."""
        with _as_file(bundle) as path:
            try:
                signature = sign_sigstore_pb.Signature.read(path)
                named = signature.bundle.verification_material.public_key
                hint = (named.hint or "") if named is not None else ""
            except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
                raise SigningError("The signature is not a model-signing bundle.", code="malformed") from error
        key = next((known for known in keys.public_keys() if known.key_id == hint), None)
        if key is None:
            raise SigningError(
                f"The signature was made with the key {hint[:16]}, which is not trusted here.", code="untrusted_key"
            )
        with _as_file(key.pem) as path:
            verifier = sign_ec_key.Verifier(path)
        try:
            found = verifier.verify(signature)
        except (InvalidSignature, ValueError, KeyError, TypeError, IndexError) as error:
            raise SigningError(
                "The signature does not fit its content: it was changed after signing.", code="forged"
            ) from error
        return VerifiedModel({row.identifier: row.digest.digest_hex for row in found.resource_descriptors()}, hint)


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[Path]:
    """The library reads keys and signatures from files only."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield Path(file.name)
