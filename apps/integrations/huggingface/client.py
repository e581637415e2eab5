"""The Hub through ``huggingface_hub``: what is there, the bytes of it, and its refusals in words people can use."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from apps.integrations.huggingface.guard import NameUnknown
from apps.integrations.huggingface.ports import HubError, HubFile, HubModel
from apps.integrations.outbound import OutboundRefused

PIECE = 1_048_576
INFO_SECONDS = 30.0


class HuggingFaceHub:
    """One hub as one caller sees it: with a token, or anonymously."""

    def __init__(self, endpoint: str, token: str = "") -> None:
        self.endpoint = endpoint.rstrip("/")
        # False, not None: a token that lies around on this machine must not be sent for somebody else.
        self._token: str | bool = token or False
        self._api = HfApi(endpoint=self.endpoint, token=self._token)

    def model(self, repo_id: str, revision: str) -> HubModel:
        """Return what stands at *revision*. Raises ``HubError``."""
        try:
            info = self._api.model_info(repo_id, revision=revision, files_metadata=True, timeout=INFO_SECONDS)
            files = tuple(_file(sibling) for sibling in info.siblings or ())
            card = info.card_data.to_dict() if info.card_data is not None else {}
            commit = str(info.sha or "")
        except (OutboundRefused, httpx2.HTTPError, HFValidationError, OSError) as error:
            raise self._translated(error, repo_id, revision) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._nonsense() from error
        if not commit:
            raise self._nonsense()
        return HubModel(repo_id, commit, files, card, bool(info.gated), bool(info.private))

    @contextmanager
    def download(
        self, repo_id: str, commit: str, path: str, *, start: int = 0
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Open a file from *start* on. Raises ``HubError``, also while its pieces are read."""
        headers = {**build_hf_headers(token=self._token), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            url = hf_hub_url(repo_id, path, revision=commit, endpoint=self.endpoint)
            with get_session().stream("GET", url, headers=headers) as response:
                hf_raise_for_status(response)
                yield (start if response.status_code == 206 else 0), response.iter_bytes(PIECE)
        except (OutboundRefused, httpx2.HTTPError, HFValidationError) as error:
            raise self._translated(error, repo_id, commit, path) from error

    def _nonsense(self) -> HubError:
        return HubError(
            "not_a_hub", f"{self.endpoint} does not answer as the Hugging Face Hub does. Check HF_ENDPOINT."
        )

    def _translated(self, error: Exception, repo_id: str, revision: str, path: str = "") -> HubError:
        """Say what went wrong, and what to do about it."""
        host = urlsplit(self.endpoint).netloc
        if isinstance(error, OutboundRefused):
            return HubError("address_refused", f"The hub cannot be asked: {error}")
        if isinstance(error, HFValidationError):
            return HubError("invalid_name", f"{repo_id} is not the name of a repository, like organisation/model.")
        if isinstance(error, HfHubHTTPError):
            return self._refused(error, repo_id, revision, path)
        if isinstance(error, httpx2.TimeoutException):
            return HubError("timeout", f"{host} did not answer in time.", retry=True)
        if isinstance(error, httpx2.ConnectError):
            return _unreachable(error, host)
        if isinstance(error, httpx2.TooManyRedirects):
            return HubError("not_a_hub", f"{host} sends in circles. Check HF_ENDPOINT.")
        return HubError("broken", f"The connection to {host} broke ({type(error).__name__}).", retry=True)

    def _refused(self, error: HfHubHTTPError, repo_id: str, revision: str, path: str) -> HubError:
        status = error.response.status_code
        page = f"{self.endpoint}/{repo_id}"
        known = "this token" if self._token else "anonymous callers"
        if isinstance(error, GatedRepoError):
            return HubError(
                "gated",
                f"{repo_id} is gated: accept its terms at {page} and give the token of an account that has access.",
            )
        if isinstance(error, DisabledRepoError):
            return HubError("disabled", f"The hub has disabled {repo_id}.")
        if isinstance(error, RevisionNotFoundError):
            return HubError("revision_not_found", f"{repo_id} has no branch, tag or commit {revision}.")
        if isinstance(error, EntryNotFoundError):
            return HubError("file_not_found", f"{repo_id} has no file {path} at {revision} any more.")
        if isinstance(error, RepositoryNotFoundError):
            return HubError(
                "not_found",
                f"The hub has no model {repo_id} for {known}. Check the name; a private model needs a token.",
            )
        if status == 401:
            return HubError("token_refused", "The hub refuses the token. Give another one, or none for open models.")
        if status == 403:
            return HubError("forbidden", f"The token may not read {repo_id}. Its account needs access at {page}.")
        if status == 404:
            return HubError("not_found", f"The hub has no model {repo_id} for {known}.")
        if status == 429:
            text = error.response.headers.get("Retry-After", "")
            wait = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
            return HubError("rate_limited", "The hub asks to slow down (429).", retry=True, retry_after=wait)
        if status == 416:
            return HubError("range_refused", f"The hub does not continue {path} where it broke off.", retry=True)
        if status >= 500:
            return HubError("unavailable", f"The hub is out of order right now (status {status}).", retry=True)
        return HubError("unexpected", f"The hub answered {repo_id} with status {status}.")


def _unreachable(error: Exception, host: str) -> HubError:
    causes: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and len(causes) < 8:
        causes.append(seen)
        seen = seen.__cause__ or seen.__context__
    if any(isinstance(cause, NameUnknown) for cause in causes):
        return HubError("name_unknown", f"{host} has no address: check HF_ENDPOINT and this machine's DNS.", retry=True)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return HubError("certificate", f"{host} shows a certificate that this machine does not trust.")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return HubError("tls", f"No secure connection to {host} comes about. Is it https?")
    return HubError("unreachable", f"{host} cannot be connected to.", retry=True)


def _file(sibling: Any) -> HubFile:
    if sibling.lfs is not None:
        return HubFile(str(sibling.rfilename), int(sibling.lfs.size), sha256=str(sibling.lfs.sha256).lower())
    return HubFile(str(sibling.rfilename), int(sibling.size), git_sha1=str(sibling.blob_id).lower())
