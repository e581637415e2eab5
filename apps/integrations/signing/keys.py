"""The portal's signing key and the public keys that are trusted, as files in one folder.

    key.pem         the private key that signs (ECDSA on P-256), readable by its owner only
    key.pub         its public key, for processes that only verify
    trusted/*.pub   public keys of earlier private keys; remove one to distrust what it signed

The folder is made with a new key at the first need; in a cluster it is a mounted secret.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

_CURVES = ("secp256r1", "secp384r1", "secp521r1")  # those that the signature format knows


class SigningError(Exception):
    """A signature could not be made or does not hold.

    ``code``: ``no_key``, ``bad_key``, ``untrusted_key`` (made by a key that is not trusted here), ``forged`` (the
    signature does not fit its content) or ``malformed``.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with; ``key_id`` is the SHA-256 (hex) of its PEM text."""

    key_id: str
    pem: str
    current: bool


class KeyRing:
    """The keys in *folder*; without *may_create*, a missing signing key is an error instead of a new key."""

    def __init__(self, folder: Path, *, may_create: bool = True) -> None:
        self.folder = folder
        self.may_create = may_create

    @property
    def private_path(self) -> Path:
        """Where the signing key lies; there is one after :meth:`ensure`."""
        return self.folder / "key.pem"

    def ensure(self) -> PublicKey:
        """Return the signing key's public half; makes the key when there is none.

        Raises ``SigningError`` when the folder cannot be written or the key is not one that can sign.
        """
        if not self.private_path.exists():
            if not self.may_create:
                raise SigningError(
                    f"There is no signing key at {self.private_path}. Mount one there (LLMOPS_SIGNING_DIR names the "
                    "folder), or make it once with `manage.py signing_key create`.",
                    code="no_key",
                )
            self.create()
        return self._current()

    def public_keys(self) -> list[PublicKey]:
        """All trusted public keys, the signing one first; empty before the first key was made."""
        found: dict[str, PublicKey] = {}
        if (self.folder / "key.pub").exists():
            current = _public(self.folder / "key.pub", current=True)
            found[current.key_id] = current
        trusted = self.folder / "trusted"
        for path in sorted(trusted.glob("*.pub")) if trusted.is_dir() else []:
            key = _public(path, current=False)
            found.setdefault(key.key_id, key)
        return list(found.values())

    def rotate(self) -> PublicKey:
        """Replace the signing key; what the old one signed stays trusted. Returns the new public key."""
        old = self.ensure()
        trusted = self.folder / "trusted"
        trusted.mkdir(exist_ok=True)
        _write(trusted / f"{old.key_id[:16]}.pub", old.pem.encode(), 0o644)
        key = ec.generate_private_key(ec.SECP256R1())
        # The new public key is trusted before anything is signed with it.
        public = _public_pem(key.public_key())
        _write(trusted / f"{_key_id(public)[:16]}.pub", public, 0o644)
        _write(self.private_path, _private_pem(key), 0o600)
        _write(self.folder / "key.pub", public, 0o644)
        return self._current()

    def create(self) -> None:
        """Make the signing key; when two processes do it at once, the first one's stays."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=".key-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_private_pem(ec.generate_private_key(ec.SECP256R1())))
                os.chmod(name, 0o600)
                os.link(name, self.private_path)
            except FileExistsError:
                pass
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise SigningError(
                f"There is no signing key, and none can be made in {self.folder}: {error.strerror}. "
                "Mount a key there (key.pem) or let the portal write to the folder (LLMOPS_SIGNING_DIR).",
                code="no_key",
            ) from error

    def _current(self) -> PublicKey:
        key = self._private()
        pem = _public_pem(key.public_key())
        public = self.folder / "key.pub"
        try:
            if not public.exists() or public.read_bytes() != pem:
                _write(public, pem, 0o644)
        except OSError as error:
            raise SigningError(
                f"{public} cannot be written: {error.strerror}. Put the public key beside key.pem.", code="no_key"
            ) from error
        return PublicKey(_key_id(pem), pem.decode(), current=True)

    def _private(self) -> ec.EllipticCurvePrivateKey:
        path = self.private_path
        try:
            if path.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise SigningError(
                    f"{path} can be read by others; take their permission away (chmod 600).", code="bad_key"
                )
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise SigningError(f"{path} cannot be read: {error.strerror}.", code="no_key") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SigningError(
                f"{path} is not an unencrypted private key in PEM form; make one with `manage.py signing_key`.",
                code="bad_key",
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _CURVES:
            raise SigningError(f"{path} is not an elliptic-curve key on P-256, P-384 or P-521.", code="bad_key")
        return key


def _public(path: Path, *, current: bool) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SigningError(f"{path} is not a public key in PEM form.", code="bad_key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise SigningError(f"{path} is not an elliptic-curve key on P-256, P-384 or P-521.", code="bad_key")
    pem = _public_pem(key)
    return PublicKey(_key_id(pem), pem.decode(), current=current)


def _key_id(pem: bytes) -> str:
    return hashlib.sha256(pem).hexdigest()


def _public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace *path* in one step; it never has other permissions than *mode*."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".key-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
