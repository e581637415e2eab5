"""PII rules as data: an exact pattern, a cheaper pattern that never misses it, a validator, a confidence.

``pattern`` is what counts and may look around; ``prefilter`` runs over whole columns in an engine without
looking around and must match wherever ``pattern`` finds something valid. A group named ``value`` narrows the
find to what matters. Rules are ordered: where two findings overlap, the earlier rule keeps the text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from apps.datasets.pii.validators import VALIDATORS


@dataclass(frozen=True, slots=True)
class PiiRule:
    """One kind of personal or secret data and how it is recognised."""

    key: str
    type: str
    label: str
    pattern: str
    prefilter: str
    confidence: float
    validator: str = ""
    mask: str = "middle"
    compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", re.compile(self.pattern))
        if self.validator and self.validator not in VALIDATORS:
            raise ValueError(f"The rule “{self.key}” names the unknown validator “{self.validator}”.")

    def valid(self, text: str) -> bool:
        """Whether a match of the pattern counts."""
        return not self.validator or VALIDATORS[self.validator](text)


_KEY_HEAD = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----"
_SECRETS: tuple[tuple[str, str, str], ...] = (
    ("aws_key", "AWS access key", r"(?:AKIA|ASIA|AGPA|AROA)[0-9A-Z]{16}"),
    ("github_token", "GitHub token", r"(?:gh[pousr]_[0-9A-Za-z]{36,255}|github_pat_[0-9A-Za-z_]{22,255})"),
    ("gitlab_token", "GitLab token", r"glpat-[0-9A-Za-z_\-]{20,64}"),
    ("slack_token", "Slack token", r"xox[abeoprs]-[0-9A-Za-z\-]{10,250}"),
    ("google_key", "Google API key", r"AIza[0-9A-Za-z_\-]{35}"),
    ("openai_key", "OpenAI-style key", r"sk-[0-9A-Za-z_\-]{20,200}"),
    ("huggingface_token", "Hugging Face token", r"hf_[0-9A-Za-z]{30,64}"),
    ("stripe_key", "Stripe key", r"(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{16,128}"),
    (
        "private_key",
        "Private key",
        _KEY_HEAD + r"(?:[^\-]{0,20000}-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?",
    ),
    (
        "jwt",
        "Signed web token",
        r"eyJ[0-9A-Za-z_\-]{10,2000}\.eyJ[0-9A-Za-z_\-]{10,4000}\.[0-9A-Za-z_\-]{10,2000}",
    ),
    ("azure_key", "Azure storage key", r"AccountKey=[0-9A-Za-z+/]{43,100}={0,2}"),
)
_ASSIGNED = (
    r"(?i:(?:api[_\- ]?key|secret[_\- ]?(?:access[_\- ]?)?key|access[_\- ]?token|auth[_\- "
    r"]?token|client[_\- ]?secret|password)"
    r"[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?)(?P<value>[0-9A-Za-z_/+\-]{16,200})"
)

DEFAULT_RULES: tuple[PiiRule, ...] = (
    *(
        PiiRule(
            key,
            "api_key",
            label,
            rf"(?<![0-9A-Za-z_]){pattern}",
            pattern.split("(?:[^", 1)[0],
            0.95,
            mask="secret",
        )
        for key, label, pattern in _SECRETS
    ),
    PiiRule(
        "assigned_secret",
        "api_key",
        "Assigned secret",
        rf"(?<![0-9A-Za-z_]){_ASSIGNED}",
        _ASSIGNED,
        0.7,
        "random_looking",
        "secret",
    ),
    PiiRule(
        "email",
        "email",
        "E-mail address",
        r"(?<![0-9A-Za-z._%+\-])[0-9A-Za-z_%+\-](?:[0-9A-Za-z._%+\-]{0,62}[0-9A-Za-z_%+\-])?"
        r"@(?:[0-9A-Za-z](?:[0-9A-Za-z\-]{0,61}[0-9A-Za-z])?\.){1,8}[A-Za-z]{2,24}(?![0-9A-Za-z])",
        r"[0-9A-Za-z_%+\-]@[0-9A-Za-z]",
        0.95,
        mask="email",
    ),
    PiiRule(
        "iban",
        "iban",
        "Bank account (IBAN)",
        r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,4})?(?![0-9A-Za-z])",
        r"[A-Z]{2}[0-9]{2} ?[0-9A-Z]{4}",
        0.95,
        "iban",
        "ends",
    ),
    PiiRule(
        "credit_card",
        "credit_card",
        "Card number",
        r"(?<![0-9A-Za-z.\-])(?:[2-6][0-9]{12,18}"
        r"|[2-6][0-9]{3}(?P<four>[ \-])[0-9]{4}(?P=four)[0-9]{4}(?P=four)[0-9]{1,7}"
        r"|3[47][0-9]{2}(?P<amex>[ \-])[0-9]{6}(?P=amex)[0-9]{5})(?![0-9A-Za-z\-])(?!\.[0-9])",
        r"[2-6][0-9]{12}|[2-6][0-9]{3}[ \-][0-9]{4}[ \-][0-9]{4}[ \-][0-9]|3[47][0-9]{2}[ \-][0-9]{6}[ "
        r"\-][0-9]{5}",
        0.9,
        "credit_card",
        "card",
    ),
    PiiRule(
        "us_ssn",
        "us_ssn",
        "US social security number",
        r"(?<![0-9A-Za-z\-])[0-9]{3}(?P<ssn>[\- ])[0-9]{2}(?P=ssn)[0-9]{4}(?![0-9A-Za-z\-])",
        r"[0-9]{3}[\- ][0-9]{2}[\- ][0-9]{4}",
        0.8,
        "us_ssn",
        "ends",
    ),
    PiiRule(
        "ipv4",
        "ip_address",
        "IP address",
        r"(?<![0-9A-Za-z.\-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z\-])(?!\.[0-9])",
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        0.6,
        "ip_address",
        "ends",
    ),
    PiiRule(
        "ipv6",
        "ip_address",
        "IP address",
        r"(?<![0-9A-Za-z:.])(?:[0-9A-Fa-f]{1,4}:){1,7}(?::?[0-9A-Fa-f]{1,4}){1,7}(?![0-9A-Za-z:])",
        r"[0-9A-Fa-f]:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]",
        0.7,
        "ip_address",
        "ends",
    ),
    PiiRule(
        "phone_international",
        "phone",
        "Telephone number",
        r"(?<![0-9A-Za-z+])\+[1-9][0-9]{0,2}(?:[ .\-/]{0,2}\(?[0-9]{1,4}\)?){1,5}[ "
        r".\-/]{0,2}[0-9]{1,4}(?![0-9A-Za-z])",
        r"\+[1-9]",
        0.85,
        "phone",
        "ends",
    ),
    PiiRule(
        "phone_national",
        "phone",
        "Telephone number",
        r"(?<![0-9A-Za-z+.\-/])(?:\([0-9]{3}\)[ \-]?[0-9]{3}[\-. ][0-9]{4}"
        r"|(?:1[\-. ])?[2-9][0-9]{2}(?P<us>[\-. ])[0-9]{3}(?P=us)[0-9]{4}"
        r"|0[1-9][0-9]{0,3}(?P<eu>[\- /])[0-9]{3,4}(?:(?P=eu)[0-9]{3,4}){1,2})(?![0-9A-Za-z\-])(?!\.[0-9])",
        r"[0-9][\-. )/][ \-]?[0-9]{3,4}[\-. /][0-9]{3}",
        0.7,
        "phone",
        "ends",
    ),
    PiiRule(
        "phone_named",
        "phone",
        "Telephone number",
        r"(?<![0-9A-Za-z])(?i:(?:phone|telephone|tel|mobile|cell|fax|call|text|ring|sms)"
        r"(?: (?:me|us|him|her|them|number|no|is|at|on)){0,3}[.:]{0,2} ?)(?P<value>[0-9]{3}[\-. "
        r"]?[0-9]{4}|[0-9]{9,12})"
        r"(?![0-9A-Za-z\-])(?!\.[0-9])",
        r"(?i:phone|tel|mobile|cell|fax|call|text|ring|sms)[A-Za-z .:]{0,40}[0-9]{3}[\-. ]?[0-9]{4}",
        0.6,
        "varied_digits",
        "ends",
    ),
)

TYPE_LABELS: dict[str, str] = {
    "api_key": "Key or credential",
    "email": "E-mail address",
    "iban": "Bank account",
    "credit_card": "Card number",
    "us_ssn": "US social security number",
    "ip_address": "IP address",
    "phone": "Telephone number",
}


@lru_cache(maxsize=16)
def rules_digest(rules: Sequence[PiiRule]) -> str:
    """Identifies a set of rules, so that a check says which rules it used."""
    text = "\n".join(f"{r.key}\t{r.type}\t{r.pattern}\t{r.validator}\t{r.confidence}" for r in rules)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def replacement(pii_type: str) -> str:
    """What stands in a redacted copy where something was found."""
    return f"[{pii_type.upper()}]"
