"""A small Hugging Face Hub on a real port: the routes that ``huggingface_hub`` uses, and every bad habit of real ones.

Large files live on a second host name (the same port under ``localhost``), as on the Hub's content network, and are
reached by a redirect; small ones are answered directly and named by their git hash. ``tests/catalog`` checks it
against the unmodified client.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

LARGE = (".safetensors", ".bin", ".gguf", ".pt")


@dataclass
class Repository:
    """One repository at one commit, and how the hub treats those who ask for it."""

    files: dict[str, bytes]
    card: dict[str, Any] = field(default_factory=dict)
    commit: str = "c" * 40
    gated: bool = False
    private: bool = False
    #: Tokens that may read it where it is gated or private.
    tokens: tuple[str, ...] = ()
    #: Sizes and hashes that the listing claims although they are wrong.
    lies: dict[str, dict[str, Any]] = field(default_factory=dict)


class FakeHub:
    """``repositories`` by name. ``failures`` holds answers (status, headers) that come before the right one."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.failures: list[tuple[int, dict[str, str]]] = []
        #: How many bytes of a large file go out before the connection is cut, once per entry.
        self.cuts: list[int] = []
        self.redirect_to = ""
        self.info_body: bytes | None = None
        self.known_tokens: set[str] = set()
        #: (method, path, range, authorization) of every request.
        self.seen: list[tuple[str, str, str, str]] = []
        self.before_file: Callable[[str], None] = lambda path: None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def asked(self) -> Counter[str]:
        """How often each path was asked."""
        return Counter(path for _, path, _, _ in self.seen)

    def start(self) -> FakeHub:
        """Listen."""
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the hub did not start")
        return self

    def stop(self) -> None:
        """End the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open())
        self._ready.set()
        self._loop.run_forever()

    async def _open(self) -> None:
        app = web.Application()
        for route, handler in (
            ("/api/models/{repo:[^/]+/[^/]+}/revision/{rev}", self._info),
            ("/api/models/{repo:[^/]+/[^/]+}/tree/{rev}", self._tree),
            ("/api/models/{repo:[^/]+/[^/]+}", self._info),
            ("/{repo:[^/]+/[^/]+}/resolve/{rev}/{path:.+}", self._resolve),
            ("/cdn/{sha}", self._content),
        ):
            app.router.add_get(route, self._wrapped(handler))
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _wrapped(self, handler: Callable[..., Awaitable[Any]]) -> Callable[[web.Request], Awaitable[Any]]:
        async def answer(request: web.Request) -> Any:
            headers = request.headers
            self.seen.append((request.method, request.path, headers.get("Range", ""), headers.get("Authorization", "")))
            if self.failures:
                status, extra = self.failures.pop(0)
                return web.json_response({"error": "as asked"}, status=status, headers=extra)
            return await handler(request)

        return answer

    def _found(self, request: web.Request) -> Repository | web.Response:
        """The repository for this caller, or the Hub's refusal."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.known_tokens:
            message = "Invalid credentials in Authorization header"
            return web.json_response({"error": message}, status=401, headers={"X-Error-Message": message})
        repository = self.repositories.get(request.match_info["repo"])
        hidden = repository is not None and repository.private and token not in repository.tokens
        if repository is None or hidden:
            status = 404 if token else 401
            return web.json_response({"error": "-"}, status=status, headers={"X-Error-Code": "RepoNotFound"})
        if request.match_info["rev"] not in ("main", repository.commit) if "rev" in request.match_info else False:
            return web.json_response({"error": "-"}, status=404, headers={"X-Error-Code": "RevisionNotFound"})
        return repository

    def _gate(self, request: web.Request, repository: Repository) -> web.Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if repository.gated and token not in repository.tokens:
            headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."}
            return web.json_response({"error": "-"}, status=403 if token else 401, headers=headers)
        return None

    async def _info(self, request: web.Request) -> web.Response:
        if self.info_body is not None:
            return web.Response(body=self.info_body, content_type="application/json")
        repository = self._found(request)
        if isinstance(repository, web.Response):
            return repository
        name = request.match_info["repo"]
        siblings = [
            {"rfilename": row["path"], "size": row["size"], "blobId": row["oid"]}
            | ({"lfs": {"sha256": row["lfs"]["oid"], **row["lfs"]}} if "lfs" in row else {})
            for row in self._rows(repository)
        ]
        return web.json_response(
            {
                "_id": "1", "id": name, "modelId": name, "author": name.split("/")[0], "sha": repository.commit,
                "private": repository.private, "gated": "auto" if repository.gated else False, "disabled": False,
                "downloads": 1, "likes": 1, "tags": ["transformers"], "cardData": repository.card,
                "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
                "siblings": siblings, "spaces": [],
            }
        )  # fmt: skip

    async def _tree(self, request: web.Request) -> web.Response:
        repository = self._found(request)
        return repository if isinstance(repository, web.Response) else web.json_response(self._rows(repository))

    def _rows(self, repository: Repository) -> list[dict[str, Any]]:
        rows = []
        for path, content in sorted(repository.files.items()):
            row: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
            if path.endswith(LARGE):
                sha256 = hashlib.sha256(content).hexdigest()
                row["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
            lie = repository.lies.get(path, {})
            row |= {key: value for key, value in lie.items() if key != "lfs"}
            if "lfs" in lie:
                row["lfs"] = {**row["lfs"], **lie["lfs"]}
            rows.append(row)
        return rows

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        repository = self._found(request)
        if isinstance(repository, web.Response):
            return repository
        if (refused := self._gate(request, repository)) is not None:
            return refused
        path = request.match_info["path"]
        headers = {"X-Repo-Commit": repository.commit}
        content = repository.files.get(path)
        if content is None:
            return web.Response(status=404, headers={**headers, "X-Error-Code": "EntryNotFound"})
        self.before_file(path)
        if not path.endswith(LARGE):
            return await self._bytes(request, content, {**headers, "ETag": f'"{git_sha1(content)}"'})
        sha256 = hashlib.sha256(content).hexdigest()
        headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{sha256}"', "ETag": f'"{sha256}"'}
        location = self.redirect_to or f"http://localhost:{self.port}/cdn/{sha256}"
        return web.Response(status=302, headers={**headers, "Location": location})

    async def _content(self, request: web.Request) -> web.StreamResponse:
        """The content network: no token belongs here."""
        for repository in self.repositories.values():
            for content in repository.files.values():
                if hashlib.sha256(content).hexdigest() == request.match_info["sha"]:
                    return await self._bytes(request, content, {})
        return web.Response(status=404)

    async def _bytes(self, request: web.Request, content: bytes, headers: dict[str, str]) -> web.StreamResponse:
        start, status = 0, 200
        if wanted := request.headers.get("Range", ""):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, status = int(first), 206
            headers["Content-Range"] = f"bytes {start}-{last or len(content) - 1}/{len(content)}"
            content = content[: int(last) + 1] if last else content
        body = content[start:]
        response = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(len(body))})
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        if self.cuts and request.path.startswith("/cdn/"):
            await response.write(body[: self.cuts.pop(0)])
            if request.transport is not None:
                request.transport.close()
            return response
        await response.write(body)
        return response


def git_sha1(content: bytes) -> str:
    """Git's name of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
