"""The gateway's settings as one value, read once at start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from apps.gateway.upstream import UpstreamLimits
from apps.integrations.outbound import OutboundPolicy


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """See ``env.example`` for what each value means; sizes are bytes, times are seconds."""

    spool: Path
    cache_seconds: float = 5.0
    max_body_bytes: int = 4 * 1024 * 1024
    max_output_tokens: int = 4096
    flush_seconds: float = 1.0
    database_threads: int = 4
    limits: UpstreamLimits = field(default_factory=UpstreamLimits)
    outbound: OutboundPolicy = field(default_factory=OutboundPolicy)
    redis_url: str = ""

    @classmethod
    def from_settings(cls) -> GatewayConfig:
        """The configuration of this installation."""
        return cls(
            spool=Path(settings.VAR_DIR) / "spool" / "gateway",
            cache_seconds=settings.LLMOPS_GATEWAY_CACHE_SECONDS,
            max_body_bytes=settings.LLMOPS_GATEWAY_MAX_BODY_BYTES,
            max_output_tokens=settings.LLMOPS_GATEWAY_MAX_OUTPUT_TOKENS,
            flush_seconds=settings.LLMOPS_GATEWAY_FLUSH_SECONDS,
            database_threads=settings.LLMOPS_GATEWAY_DATABASE_THREADS,
            limits=UpstreamLimits(
                connect_seconds=settings.LLMOPS_GATEWAY_CONNECT_SECONDS,
                silence_seconds=settings.LLMOPS_GATEWAY_SILENCE_SECONDS,
            ),
            outbound=OutboundPolicy.parse(settings.LLMOPS_OUTBOUND_ALLOW),
            redis_url=settings.REDIS_URL,
        )
