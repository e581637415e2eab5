"""Checks that tell a real number from one that only looks like it. All are pure: text in, whether it is valid
out."""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping

from apps.datasets.pii import national, phones
from apps.datasets.pii.national import digits, luhn

# Length of an IBAN by country (registry of the standard).
_IBAN_LENGTHS: Mapping[str, int] = {
    "AD": 24,
    "AE": 23,
    "AL": 28,
    "AT": 20,
    "AZ": 28,
    "BA": 20,
    "BE": 16,
    "BG": 22,
    "BH": 22,
    "BR": 29,
    "BY": 28,
    "CH": 21,
    "CR": 22,
    "CY": 28,
    "CZ": 24,
    "DE": 22,
    "DK": 18,
    "DO": 28,
    "EE": 20,
    "EG": 29,
    "ES": 24,
    "FI": 18,
    "FO": 18,
    "FR": 27,
    "GB": 22,
    "GE": 22,
    "GI": 23,
    "GL": 18,
    "GR": 27,
    "GT": 28,
    "HR": 21,
    "HU": 28,
    "IE": 22,
    "IL": 23,
    "IQ": 23,
    "IS": 26,
    "IT": 27,
    "JO": 30,
    "KW": 30,
    "KZ": 20,
    "LB": 28,
    "LC": 32,
    "LI": 21,
    "LT": 20,
    "LU": 20,
    "LV": 21,
    "LY": 25,
    "MC": 27,
    "MD": 24,
    "ME": 22,
    "MK": 19,
    "MR": 27,
    "MT": 31,
    "MU": 30,
    "NL": 18,
    "NO": 15,
    "PK": 24,
    "PL": 28,
    "PS": 29,
    "PT": 25,
    "QA": 29,
    "RO": 24,
    "RS": 22,
    "SA": 24,
    "SC": 31,
    "SE": 24,
    "SI": 19,
    "SK": 24,
    "SM": 27,
    "ST": 25,
    "SV": 28,
    "TL": 23,
    "TN": 24,
    "TR": 26,
    "UA": 29,
    "VA": 22,
    "VG": 24,
    "XK": 20,
}


def credit_card(text: str) -> bool:
    """A card number: length, first digits of an issuer, checksum, and not one digit repeated."""
    number = digits(text)
    return 13 <= len(number) <= 19 and number[0] in "23456" and len(set(number)) > 1 and luhn(number)


def iban(text: str) -> bool:
    """An IBAN: length of its country and remainder 1 modulo 97."""
    compact = text.replace(" ", "").upper()
    if _IBAN_LENGTHS.get(compact[:2]) != len(compact):
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def ip_address(text: str) -> bool:
    """An address that can belong to somebody: not loopback, not unspecified, no documentation of a
    netmask."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not text.startswith(("0.", "255."))
    # “face::add” is an address by the letter and a word by nature.
    groups = [group for group in text.split(":") if group]
    return len(groups) >= 3 or text.lower().startswith(("fe80:", "fc", "fd", "2"))


def phone(text: str) -> bool:
    """A telephone number: 9 to 15 digits (7 to 15 after a country code), not a date and not one digit
    repeated."""
    number = digits(text)
    least = 7 if text.lstrip(" (").startswith("+") else 9
    if not least <= len(number) <= 15 or len(set(number)) < 3:
        return False
    return re.fullmatch(r"(?:19|20)[0-9]{2}[-. /][0-9]{1,2}[-. /][0-9]{1,4}.*", text.strip()) is None


def varied_digits(text: str) -> bool:
    """At least three different digits."""
    return len(set(digits(text))) >= 3


def random_looking(text: str) -> bool:
    """Whether the value assigned to a key (``api_key = …``) looks generated: letters and digits, much
    variety."""
    if not re.search(r"[0-9]", text) or not re.search(r"[A-Za-z]", text):
        return False
    counts = Counter(text)
    entropy = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    return entropy >= 3.0


def phone_plan(text: str, regions: tuple[str, ...]) -> bool:
    """A telephone number by the numbering plan of the rule's regions; without regions an international number of any
    country."""
    return phones.dialled_in(text, regions) if regions else phones.dialled_anywhere(text)


VALIDATORS: Mapping[str, Callable[[str], bool]] = {
    "au_tfn": national.au_tfn,
    "be_national": national.be_national,
    "br_cpf": national.br_cpf,
    "ca_sin": national.ca_sin,
    "credit_card": credit_card,
    "de_tax_id": national.de_tax_id,
    "es_dni": national.es_dni,
    "fi_hetu": national.fi_hetu,
    "fr_nir": national.fr_nir,
    "iban": iban,
    "in_aadhaar": national.in_aadhaar,
    "ip_address": ip_address,
    "it_fiscal_code": national.it_fiscal_code,
    "kr_rrn": national.kr_rrn,
    "luhn": luhn,
    "nl_bsn": national.nl_bsn,
    "phone": phone,
    "pl_pesel": national.pl_pesel,
    "random_looking": random_looking,
    "se_personnummer": national.se_personnummer,
    "uk_nino": national.uk_nino,
    "us_ssn": national.us_ssn,
    "varied_digits": varied_digits,
}
BY_REGION: Mapping[str, Callable[[str, tuple[str, ...]], bool]] = {"phone_plan": phone_plan}
NAMES: tuple[str, ...] = tuple(sorted({*VALIDATORS, *BY_REGION}))


def regions_of(text: str) -> tuple[str, ...]:
    """Country codes out of a comma-separated text."""
    return tuple(part.strip().upper() for part in text.split(",") if part.strip())


def validator_named(name: str, regions: str = "") -> Callable[[str], bool]:
    """The validator called ``name``. Raises ValueError for an unknown one."""
    if name in BY_REGION:
        check, codes = BY_REGION[name], regions_of(regions)
        return lambda text: check(text, codes)
    if name not in VALIDATORS:
        raise ValueError(f"There is no validator “{name}”; known are: {', '.join(NAMES)}.")
    return VALIDATORS[name]
