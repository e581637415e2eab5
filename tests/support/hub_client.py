"""What an unmodified ``huggingface_hub`` client does with an endpoint. Run as a program, in a process of its own.

Reads ``{"repo": …, "calls": [name, …], "revision": …}`` from standard input, writes one JSON object
``{call: result or {"error": class name, "message": …}}``. The endpoint and token come from ``HF_ENDPOINT`` and
``HF_TOKEN``, as people give them.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def ask(
    endpoint: str, token: str, home: Path, *, repo: str, calls: list[str], revision: str | None = None, **more: Any
) -> dict[str, Any]:
    """Run the calls in a fresh process with a cache of its own under *home*."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    env = {**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    env |= {"HF_TOKEN": token} if token else {}
    env |= {"OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    wish = {"repo": repo, "calls": calls, "revision": revision, **more}
    done = subprocess.run(
        [sys.executable, str(Path(__file__))],
        input=json.dumps(wish), capture_output=True, text=True, env=env, cwd=home, timeout=180, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise AssertionError(done.stderr[-4000:])
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def digests(folder: str) -> dict[str, str]:
    """SHA-256 of every file by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).iterdir())
        if path.is_file()
    }


def main() -> None:
    """Do what standard input says. The libraries are loaded here, in the process that has the environment for them."""
    hub: Any = importlib.import_module("huggingface_hub")
    wish = json.loads(sys.stdin.read())
    repo, revision = wish["repo"], wish.get("revision")
    api = hub.HfApi()

    def info() -> Any:
        found = api.model_info(repo, revision=revision, files_metadata=True)
        files = {file.rfilename: [file.size, file.lfs.sha256 if file.lfs else None] for file in found.siblings or []}
        card = found.card_data.to_dict() if found.card_data else {}
        return {"id": found.id, "sha": found.sha, "files": files, "card": card, "private": found.private}

    def file() -> Any:
        path = hub.hf_hub_download(repo, wish.get("filename", "config.json"), revision=revision)
        return {"sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(), "path": path}

    def ranged() -> Any:
        url = hub.hf_hub_url(repo, "model.safetensors", revision=revision)
        headers = {**hub.utils.build_hf_headers(), "Range": "bytes=8-15"}
        answer = hub.utils.get_session().get(url, headers=headers)
        return [answer.status_code, answer.headers["Content-Range"], answer.content.hex()]

    def resumed() -> Any:
        http_get = importlib.import_module("huggingface_hub.file_download").http_get
        target = Path("resumed.bin")
        target.write_bytes(bytes.fromhex(wish["begin"]))
        with target.open("ab") as out:
            http_get(
                hub.hf_hub_url(repo, "model.safetensors", revision=revision),
                out, resume_size=target.stat().st_size, headers=hub.utils.build_hf_headers(),
                expected_size=wish["size"],
            )  # fmt: skip
        return hashlib.sha256(target.read_bytes()).hexdigest()

    def config() -> Any:
        transformers = importlib.import_module("transformers")
        return transformers.AutoConfig.from_pretrained(repo, revision=revision or "main").model_type

    def model() -> Any:
        transformers = importlib.import_module("transformers")
        tokenizer = transformers.AutoTokenizer.from_pretrained(repo)
        loaded = transformers.AutoModelForCausalLM.from_pretrained(repo)
        written = loaded.generate(**tokenizer("Hello", return_tensors="pt"), max_new_tokens=3, do_sample=False)
        return [sum(one.numel() for one in loaded.parameters()), int(written.shape[-1])]

    calls: dict[str, Callable[[], Any]] = {
        "whoami": lambda: api.whoami()["name"],
        "model_info": info,
        "list_repo_files": lambda: api.list_repo_files(repo, revision=revision),
        "paths_info": lambda: [file.path for file in api.get_paths_info(repo, ["config.json", "none"])],
        "refs": lambda: [ref.name for ref in api.list_repo_refs(repo).tags],
        "list_models": lambda: [model.id for model in api.list_models(author=repo.split("/")[0])],
        "file_exists": lambda: [api.file_exists(repo, "config.json"), api.file_exists(repo, "nope.json")],
        "repo_exists": lambda: api.repo_exists(repo),
        "auth_check": lambda: api.auth_check(repo),
        "resolve_revision": lambda: hub.resolve_revision(repo).resolved,
        "download": file,
        "ranged": ranged,
        "resumed": resumed,
        "snapshot": lambda: digests(hub.snapshot_download(repo, revision=revision)),
        "verify": lambda: len(api.verify_repo_checksums(repo, revision=revision).mismatches),
        "auto_config": config,
        "auto_model": model,
    }
    results: dict[str, Any] = {}
    for name in wish["calls"]:
        try:
            results[name] = calls[name]()
        except (OSError, ValueError, LookupError, RuntimeError) as error:
            results[name] = {"error": type(error).__name__, "message": str(error)[:600]}
    sys.stdout.write("\n" + json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
