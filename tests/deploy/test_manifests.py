"""Kustomize overlays render and validate; compose and Dockerfiles name what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = Path(sys.executable).parent / "kubectl"
VERSIONS = ("1.30", "1.37")


def render(overlay: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [str(KUBECTL), "kustomize", str(ROOT / "deploy/kubernetes/overlays" / overlay)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [row for row in yaml.safe_load_all(done.stdout) if row]


@pytest.mark.parametrize("overlay", ["dev", "stg", "prod"])
def test_overlay_renders_and_validates(overlay: str) -> None:
    """P-13: every overlay renders, is strictly valid for old and new clusters, and lives in its namespace."""
    rows = render(overlay)
    for version in VERSIONS:
        for row in rows:
            kubernetes_validate.validate(row, version, strict=True)
    namespaces = {row["metadata"].get("namespace") for row in rows if row["kind"] != "Namespace"}
    assert namespaces == {f"llm-ops-{overlay}"}
    deployments = {row["metadata"]["name"] for row in rows if row["kind"] == "Deployment"}
    assert deployments == {"portal", "gateway", "worker", "beat", "reconciler"}


def test_pods_run_restricted() -> None:
    """P-13: no root, no privilege escalation, read-only root, bounded memory."""
    for row in render("prod"):
        if row["kind"] != "Deployment":
            continue
        pod = row["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert "memory" in container["resources"]["limits"]


def test_compose_starts_every_process() -> None:
    """P-13: compose names the processes of the product, and files that exist."""
    data = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    assert {"portal", "gateway", "worker", "beat", "reconciler", "migrate"} <= set(data["services"])
    for service in data["services"].values():
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "deploy/docker").glob("*.Dockerfile")), ids=lambda path: path.stem)
def test_dockerfile_copies_what_exists(path: Path) -> None:
    """P-13: every COPY source from the build context is in the repository; nothing runs as root."""
    text = path.read_text()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    if path.stem != "gateway":
        assert "\nUSER 10001" in text
