"""FR-001a, FR-001d: OpenSSF signatures over approved models, checked with the unmodified library and its tool."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from apps.catalog import registry, services
from apps.catalog.keys import signing_keys
from apps.catalog.models import ModelEntry, ModelSignature
from apps.catalog.services.integrity import stored_digests
from apps.core import clock
from apps.core.errors import Conflict, GateRefused, NotFound, Unavailable
from apps.core.models import AuditEvent, Operation
from apps.core.storage import store
from apps.governance.models import Notice
from apps.integrations.signing import KeyRing, SigningError, model_signer
from tests.catalog.files import safetensors
from tests.catalog.support import make_approved, make_ready, upload
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


def make_signed(cast: Cast, **changes: Any) -> ModelEntry:
    """Approved by Chen and signed by the worker."""
    model = make_approved(cast, **changes)
    commit_now()
    return model


def tamper(model: ModelEntry, filename: str = "model.safetensors") -> None:
    """Change the last byte of a stored file, behind the portal's back."""
    key = f"{model.storage_prefix}{filename}"
    raw = b"".join(store().open_range(key, 0, store().size(key)))
    store().put(key, [raw[:-1] + bytes([raw[-1] ^ 1])])


def official_verify(folder: Path, signature: Path, key: Path) -> subprocess.CompletedProcess[str]:
    """The library's own command line."""
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(signature), "--public_key", str(key)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_approval_can_be_verified_by_others_with_the_official_tool(cast: Cast, api: Any, tmp_path: Path) -> None:
    """FR-001a: approval signs; signature and public key from the API convince the unmodified model_signing tool."""
    model = make_signed(cast)
    row = ModelSignature.objects.get(model=model)
    assert (row.status, row.digest) == ("valid", model.digest)
    folder = tmp_path / "model"
    services.model_materialise(model=model, destination=folder)
    caller = api(cast.ben)
    answer = caller.get(f"/catalog/models/{model.pk}/signature").payload
    assert (answer["status"], answer["keyId"]) == ("valid", row.key_id)
    signature, key = tmp_path / "model.sig", tmp_path / "portal.pub"
    signature.write_bytes(caller.get(f"/catalog/models/{model.pk}/signature/download").getvalue())
    keys = caller.get("/catalog/signing-keys").payload
    assert [(entry["keyId"], entry["current"]) for entry in keys] == [(row.key_id, True)]
    key.write_text(keys[0]["publicKey"])
    good = official_verify(folder, signature, key)
    assert good.returncode == 0, good.stderr
    with (folder / "config.json").open("r+b") as file:
        os.fchmod(file.fileno(), 0o640)
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes() + b" ")
    assert official_verify(folder, signature, key).returncode != 0


def test_signature_lies_beside_the_files(cast: Cast) -> None:
    """FR-001a: whoever copies the folder of the store has the signature with it."""
    model = make_signed(cast)
    key = f"{model.storage_prefix}model.sig"
    stored = b"".join(store().open_range(key, 0, store().size(key))).decode()
    assert stored == ModelSignature.objects.get(model=model).bundle
    found = stored_digests(model)
    assert found.problems == []
    assert model_signer().verify(signing_keys(), stored).digests == found.digests


def test_key_can_be_read_by_its_owner_only(cast: Cast, settings: Any) -> None:
    """FR-001a: made at the first need, mode 600; others' permission is refused."""
    make_signed(cast)
    path = Path(settings.VAR_DIR) / "signing" / "key.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(SigningError) as refusal:
        signing_keys().ensure()
    assert refusal.value.code == "bad_key"
    assert "chmod 600" in refusal.value.message


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_bad_key_file_cannot_sign(tmp_path: Path, content: bytes) -> None:
    """FR-001a: a key that is none is said to be none, with its path."""
    (tmp_path / "key.pem").write_bytes(content)
    (tmp_path / "key.pem").chmod(0o600)
    with pytest.raises(SigningError) as refusal:
        KeyRing(tmp_path).ensure()
    assert refusal.value.code == "bad_key"
    assert str(tmp_path / "key.pem") in refusal.value.message


def test_rotated_key_can_still_be_verified_until_it_is_distrusted(cast: Cast, settings: Any) -> None:
    """FR-001a: several public keys are trusted; taking one away breaks what it signed."""
    model = make_signed(cast)
    old = signing_keys().ensure()
    call_command("signing_key", "rotate")
    new = signing_keys().ensure()
    assert new.key_id != old.key_id
    assert {key.key_id for key in signing_keys().public_keys()} == {old.key_id, new.key_id}
    assert services.model_verify_run(model_id=model.pk) == "valid"
    later = make_signed(cast, name="later")
    assert ModelSignature.objects.get(model=later).key_id == new.key_id
    (Path(settings.VAR_DIR) / "signing" / "trusted" / f"{old.key_id[:16]}.pub").unlink()
    assert services.model_verify_run(model_id=model.pk) == "broken"
    assert "not trusted" in ModelSignature.objects.get(model=model).problems[0]
    assert services.model_verify_run(model_id=later.pk) == "valid"


def test_changed_byte_cannot_be_deployed_and_lapses_the_approval(cast: Cast) -> None:
    """FR-001a, FR-001d: verification finds it; approval lapses with the reason, the owner is told, audited once."""
    model = make_signed(cast)
    tamper(model)
    services.model_verify(actor=cast.finn, model_id=model.pk)
    commit_now()
    model.refresh_from_db()
    assert model.status == "draft"
    operation = Operation.objects.get(target_id=str(model.pk), kind="model_verify")
    assert (operation.status, operation.result["intact"]) == ("succeeded", False)
    assert "model.safetensors" in operation.result["problems"][0]
    for check in (services.model_require_deployable, services.model_require_runnable):
        with pytest.raises(GateRefused) as refusal:
            check(model=model)
        assert "signature_broken" in {error.code for error in refusal.value.errors}
    assert Notice.objects.filter(recipient=cast.dana, tone="danger").count() == 1  # operator and admin
    assert not Notice.objects.filter(recipient__in=[cast.eve, cast.ben, cast.finn]).exists()
    notice = Notice.objects.get(recipient=cast.ada)
    assert notice.tone == "danger"
    assert "not the ones that were approved" in notice.text
    assert AuditEvent.objects.filter(action="catalog.model.signature_broken").count() == 1
    services.model_verify_run(model_id=model.pk)
    assert AuditEvent.objects.filter(action="catalog.model.signature_broken").count() == 1


def test_workload_cannot_start_from_changed_bytes(cast: Cast, tmp_path: Path) -> None:
    """FR-001a: the bytes are checked when a workload takes them, not only when somebody asks."""
    model = make_signed(cast)
    tamper(model, "config.json")
    with pytest.raises(GateRefused) as refusal:
        services.model_materialise(model=model, destination=tmp_path / "out")
    assert refusal.value.code == "file_changed"
    assert "config.json" in refusal.value.message
    model.refresh_from_db()
    assert model.status == "draft"


def test_restarted_workload_cannot_use_a_changed_copy(cast: Cast, tmp_path: Path) -> None:
    """FR-001a: a copy made earlier is checked again; it may share its bytes with the store."""
    model = make_signed(cast)
    folder = services.model_materialise(model=model, destination=tmp_path / "out")
    services.model_require_intact_copy(model=model, folder=folder)
    target = folder / "tokenizer.json"
    raw = target.read_bytes()
    target.unlink()
    target.write_bytes(raw + b"\n")
    with pytest.raises(GateRefused):
        services.model_require_intact_copy(model=model, folder=folder)


def test_hash_in_the_database_cannot_be_changed_along(cast: Cast, tmp_path: Path) -> None:
    """FR-001a: who changes file and database row alike is still caught by the signature."""
    model = make_signed(cast)
    raw = safetensors(data=b"\1" * 16)
    key = f"{model.storage_prefix}model.safetensors"
    stored = store().put(key, [raw])
    model.files.filter(filename="model.safetensors").update(sha256=stored.sha256)
    with pytest.raises(GateRefused) as refusal:
        services.model_materialise(model=model, destination=tmp_path / "out")
    assert "not the file that was signed" in refusal.value.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: store().delete(f"{model.storage_prefix}config.json"), "config.json is not in the store"),
        (lambda model: store().put(f"{model.storage_prefix}extra.py", [b"import os"]), "never registered"),
        (lambda model: store().delete(f"{model.storage_prefix}model.sig"), "model.sig is not in the store"),
        (lambda model: store().put(f"{model.storage_prefix}model.sig", [b"{}"]), "not the signature that was made"),
        (lambda model: ModelSignature.objects.filter(model=model).update(bundle="{}"), "not a model-signing bundle"),
        (lambda model: ModelSignature.objects.filter(model=model).update(bundle="\x01"), "not a model-signing bundle"),
    ],
)
def test_verification_cannot_be_fooled(cast: Cast, change: Callable[[ModelEntry], Any], words: str) -> None:
    """FR-001a: missing, added and exchanged files and signatures are each named."""
    model = make_signed(cast)
    change(model)
    assert services.model_verify_run(model_id=model.pk) == "broken"
    assert words in " ".join(ModelSignature.objects.get(model=model).problems)


def test_forged_payload_cannot_pass(cast: Cast) -> None:
    """FR-001a: a bundle whose content was exchanged under the old signature is refused."""
    model = make_signed(cast)
    row = ModelSignature.objects.get(model=model)
    other = make_signed(cast, name="other", version="2.0")
    bundle, foreign = json.loads(row.bundle), json.loads(ModelSignature.objects.get(model=other).bundle)
    bundle["dsseEnvelope"]["payload"] = foreign["dsseEnvelope"]["payload"]
    with pytest.raises(SigningError) as refusal:
        model_signer().verify(signing_keys(), json.dumps(bundle))
    assert refusal.value.code == "forged"


def test_new_files_get_over_a_broken_signature(cast: Cast) -> None:
    """FR-001d: the way out: upload again, submit, approve; the next signature is a new one."""
    model = make_signed(cast)
    first = ModelSignature.objects.get(model=model).root_digest
    tamper(model)
    services.model_verify_run(model_id=model.pk)
    with pytest.raises(GateRefused) as refusal:
        services.model_submit(actor=cast.ada, model_id=model.pk)
    assert "files_intact" in {error.field for error in refusal.value.errors}
    model.refresh_from_db()
    upload(cast.ada, model, {"model.safetensors": safetensors(data=b"\2" * 16)})
    services.model_submit(actor=cast.ada, model_id=model.pk)
    services.model_decide(actor=cast.chen, model_id=model.pk, decision="approve")
    commit_now()
    row = ModelSignature.objects.get(model=model)
    assert row.status == "valid"
    assert row.root_digest != first


def test_lapsed_approval_takes_its_signature_along(cast: Cast) -> None:
    """FR-001d: a draft carries no signature, in the database or beside the files."""
    model = make_signed(cast)
    services.model_reopen(actor=cast.ada, model_id=model.pk)
    commit_now()
    assert not ModelSignature.objects.filter(model=model).exists()
    assert not store().exists(f"{model.storage_prefix}model.sig")


def test_draft_cannot_be_verified(cast: Cast) -> None:
    """FR-001a: nothing to verify is said, not pretended; an invisible model does not exist."""
    model = make_ready(cast.ada, cast.support)
    with pytest.raises(Conflict) as refusal:
        services.model_verify(actor=cast.ada, model_id=model.pk)
    assert refusal.value.code == "not_signed"
    with pytest.raises(NotFound):
        services.model_verify(actor=cast.eve, model_id=model.pk)


def test_sweep_signs_what_was_lost_and_verifies_what_is_old(cast: Cast) -> None:
    """FR-001a: a lost task is sent again; approved models are verified again after a day."""
    model = make_approved(cast)
    long_ago = clock.now() - timedelta(days=2)
    ModelSignature.objects.filter(model=model).update(updated_at=long_ago)
    assert services.signatures_resend() == 1
    commit_now()
    row = ModelSignature.objects.get(model=model)
    assert row.status == "valid"
    assert services.signatures_resend() == 0
    ModelSignature.objects.filter(model=model).update(verified_at=long_ago)
    tamper(model)
    assert services.signatures_resend() == 1
    commit_now()
    row.refresh_from_db()
    assert row.status == "broken"


def test_lost_work_ends_its_operation(cast: Cast) -> None:
    """P-8: the operation that people watch is finished by the worker that takes over."""
    model = make_approved(cast)
    long_ago = clock.now() - timedelta(hours=1)
    ModelSignature.objects.filter(model=model).update(updated_at=long_ago)
    connection.run_on_commit = []
    assert services.signatures_resend() == 1
    commit_now()
    assert Operation.objects.get(target_id=str(model.pk), kind="model_sign").status == "succeeded"
    operation = services.model_verify(actor=cast.ada, model_id=model.pk)
    assert services.model_verify(actor=cast.ben, model_id=model.pk).pk == operation.pk
    connection.run_on_commit = []
    Operation.objects.filter(pk=operation.pk).update(status="running", updated_at=long_ago)
    assert services.signatures_resend() == 1
    commit_now()
    operation.refresh_from_db()
    assert operation.status == "succeeded"


def test_signing_holds_one_piece_of_a_file(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-001a: bounded memory: files are read by pieces of at most a mebibyte, whole files never."""
    model = make_approved(cast)
    sizes: list[int] = []
    real = type(store()).open_range

    def watched(self: Any, key: str, start: int, end: int) -> Any:
        for piece in real(self, key, start, end):
            sizes.append(len(piece))
            yield piece

    store().put(f"{model.storage_prefix}model.safetensors", (b"\0" * 1_000_000 for _ in range(5)))
    monkeypatch.setattr(type(store()), "open_range", watched)
    stored_digests(model)
    assert max(sizes) <= 1024 * 1024
    assert len(sizes) > 5


def test_production_cannot_make_a_key_by_itself(cast: Cast, settings: Any, tmp_path: Path) -> None:
    """FR-001a: several machines would each make their own; without a key nothing is signed and nothing starts."""
    settings.SIGNING_MAKES_KEY = False
    model = make_signed(cast)
    operation = Operation.objects.get(target_id=str(model.pk), kind="model_sign")
    assert operation.status == "failed"
    assert "signing_key create" in operation.message
    with pytest.raises(Unavailable):
        services.model_materialise(model=model, destination=tmp_path / "out")
    model.refresh_from_db()
    assert model.status == "approved"
    call_command("signing_key", "create")
    assert services.model_sign_run(model_id=model.pk) == "valid"
