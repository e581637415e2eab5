"""The rules that the product brings along: they seed the database, and stand in where it holds none at all.

Their place in the tuple is their order. Add new ones here and in a data migration.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.datasets.pii.rules import PiiRule

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
    ("npm_token", "npm token", r"npm_[0-9A-Za-z]{36}"),
    ("pypi_token", "PyPI token", r"pypi-AgE[0-9A-Za-z_\-]{50,400}"),
    ("sendgrid_key", "SendGrid key", r"SG\.[0-9A-Za-z_\-]{20,24}\.[0-9A-Za-z_\-]{39,50}"),
    ("digitalocean_token", "DigitalOcean token", r"do[opr]_v1_[0-9a-f]{64}"),
    ("google_oauth", "Google access token", r"ya29\.[0-9A-Za-z_\-]{20,500}"),
    ("azure_signature", "Azure signed address", r"sig=[0-9A-Za-z%]{43,120}(?:%3[Dd]|=)"),
    ("azure_key", "Azure storage key", r"AccountKey=[0-9A-Za-z+/]{43,100}={0,2}"),
)
_ASSIGNED = (
    r"(?i:(?:api[_\- ]?key|secret[_\- ]?(?:access[_\- ]?)?key|access[_\- ]?token|auth[_\- "
    r"]?token|client[_\- ]?secret|password)"
    r"[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?)(?P<value>[0-9A-Za-z_/+\-]{16,200})"
)

_NATIONAL: tuple[tuple[str, str, str, float, str], ...] = (
    (
        "uk_nino",
        "UK National Insurance number",
        r"(?<![0-9A-Za-z])[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D](?![0-9A-Za-z])",
        0.85,
        "uk_nino",
    ),
    (
        "de_tax_id",
        "German tax number",
        (
            r"(?<![0-9A-Za-z])(?i:steuer[\- ]?id(?:entifikationsnummer)?(?:[\- ]?nr)?|idnr|tax[\- ]id)[.:# ]{1,3}"
            r"(?P<value>[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3})(?![0-9A-Za-z])"
        ),
        0.9,
        "de_tax_id",
    ),
    (
        "fr_nir",
        "French social security number",
        (
            r"(?<![0-9A-Za-z\-])[12] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}"
            r"(?![0-9A-Za-z\-])"
        ),
        0.9,
        "fr_nir",
    ),
    (
        "es_dni",
        "Spanish DNI or NIE",
        r"(?<![0-9A-Za-z])[0-9XYZ][0-9]{7}[ \-]?[A-Z](?![0-9A-Za-z])",
        0.8,
        "es_dni",
    ),
    (
        "it_fiscal_code",
        "Italian codice fiscale",
        r"(?<![0-9A-Za-z])[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z](?![0-9A-Za-z])",
        0.95,
        "it_fiscal_code",
    ),
    (
        "nl_bsn",
        "Dutch BSN",
        r"(?<![0-9A-Za-z])(?i:bsn|burgerservicenummer)[.:# ]{1,3}(?P<value>[0-9]{9})(?![0-9A-Za-z])",
        0.9,
        "nl_bsn",
    ),
    (
        "be_national",
        "Belgian national number",
        r"(?<![0-9A-Za-z.])[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}(?![0-9A-Za-z])",
        0.9,
        "be_national",
    ),
    (
        "pl_pesel",
        "Polish PESEL",
        r"(?<![0-9A-Za-z])(?i:pesel)[.:# ]{1,3}(?P<value>[0-9]{11})(?![0-9A-Za-z])",
        0.9,
        "pl_pesel",
    ),
    (
        "se_personnummer",
        "Swedish personnummer",
        r"(?<![0-9A-Za-z\-])(?:19|20)?[0-9]{6}[\-+][0-9]{4}(?![0-9A-Za-z\-])",
        0.75,
        "se_personnummer",
    ),
    (
        "fi_hetu",
        "Finnish identity code",
        r"(?<![0-9A-Za-z])[0-3][0-9][01][0-9]{3}[\-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y](?![0-9A-Za-z])",
        0.85,
        "fi_hetu",
    ),
    (
        "br_cpf",
        "Brazilian CPF",
        r"(?<![0-9A-Za-z.])[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}(?![0-9A-Za-z])",
        0.95,
        "br_cpf",
    ),
    (
        "in_aadhaar",
        "Indian Aadhaar number",
        r"(?<![0-9A-Za-z\-])(?<![0-9] )[2-9][0-9]{3} [0-9]{4} [0-9]{4}(?![0-9A-Za-z\-])(?! [0-9])",
        0.75,
        "in_aadhaar",
    ),
    (
        "kr_rrn",
        "Korean resident number",
        r"(?<![0-9A-Za-z\-])[0-9]{6}-[1-8][0-9]{6}(?![0-9A-Za-z\-])",
        0.9,
        "kr_rrn",
    ),
    (
        "ca_sin",
        "Canadian social insurance number",
        (
            r"(?<![0-9A-Za-z])(?i:sin|nas|social insurance(?: number)?)[.:# ]{1,3}"
            r"(?P<value>[0-9]{3}[\- ]?[0-9]{3}[\- ]?[0-9]{3})(?![0-9A-Za-z])"
        ),
        0.85,
        "ca_sin",
    ),
    (
        "au_tfn",
        "Australian tax file number",
        r"(?<![0-9A-Za-z])(?i:tfn|tax file number)[.:# ]{1,3}(?P<value>[0-9]{3} ?[0-9]{3} ?[0-9]{3})(?![0-9A-Za-z])",
        0.9,
        "au_tfn",
    ),
)

DEFAULT_RULES: tuple[PiiRule, ...] = (
    *(
        PiiRule(
            key,
            "api_key",
            label,
            rf"(?<![0-9A-Za-z_]){pattern}",
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
        0.95,
        mask="email",
    ),
    PiiRule(
        "iban",
        "iban",
        "Bank account (IBAN)",
        r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,4})?(?![0-9A-Za-z])",
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
        0.9,
        "credit_card",
        "card",
    ),
    PiiRule(
        "us_ssn",
        "us_ssn",
        "US social security number",
        r"(?<![0-9A-Za-z\-])[0-9]{3}(?P<ssn>[\- ])[0-9]{2}(?P=ssn)[0-9]{4}(?![0-9A-Za-z\-])",
        0.8,
        "us_ssn",
        "ends",
    ),
    *(
        PiiRule(key, "national_id", label, pattern, confidence, validator, "ends")
        for key, label, pattern, confidence, validator in _NATIONAL
    ),
    PiiRule(
        "ipv4",
        "ip_address",
        "IP address",
        r"(?<![0-9A-Za-z.\-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z\-])(?!\.[0-9])",
        0.6,
        "ip_address",
        "ends",
    ),
    PiiRule(
        "ipv6",
        "ip_address",
        "IP address",
        r"(?<![0-9A-Za-z:.])(?:[0-9A-Fa-f]{1,4}:){1,7}(?::?[0-9A-Fa-f]{1,4}){1,7}(?![0-9A-Za-z:])",
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
        0.7,
        "phone",
        "ends",
    ),
    PiiRule(
        "phone_by_plan",
        "phone",
        "Telephone number",
        # Not a date; written with the leading zero that is dialled inside the country.
        r"(?<![0-9A-Za-z+.\-/])(?<![0-9] )(?!0[1-9][.\-/ ][01][0-9][.\-/ ](?:19|20)[0-9]{2}(?![0-9]))"
        r"(?:\(0[1-9][0-9]{1,4}\)|0[1-9][0-9]{1,4})(?:[ \-/.][0-9]{2,8}){1,4}(?![0-9A-Za-z\-])(?!\.[0-9])",
        0.6,
        "phone_plan",
        "ends",
        "BE,CH,DE,ES,FR,GB,IE,NL",
    ),
    PiiRule(
        "phone_named",
        "phone",
        "Telephone number",
        r"(?<![0-9A-Za-z])(?i:(?:phone|telephone|tel|mobile|cell|fax|call|text|ring|sms)"
        r"(?: (?:me|us|him|her|them|number|no|is|at|on)){0,3}[.:]{0,2} ?)(?P<value>[0-9]{3}[\-. "
        r"]?[0-9]{4}|[0-9]{9,12})"
        r"(?![0-9A-Za-z\-])(?!\.[0-9])",
        0.6,
        "varied_digits",
        "ends",
    ),
)

TYPE_LABELS: Mapping[str, str] = {
    "api_key": "Key or credential",
    "email": "E-mail address",
    "iban": "Bank account",
    "credit_card": "Card number",
    "us_ssn": "US social security number",
    "national_id": "National identity or tax number",
    "ip_address": "IP address",
    "phone": "Telephone number",
    "person": "Name of a person",
    "location": "Name of a place",
}
