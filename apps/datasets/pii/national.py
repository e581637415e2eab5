"""Checksums of national identity, tax and insurance numbers. Pure: text in, whether it can have been issued out.

Each names the scheme; the formulas are those that the issuing authorities publish.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_NOT_DIGIT = re.compile(r"[^0-9]")
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_CF_LETTERS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_CF_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (*_CF_LETTERS[:10], *_CF_LETTERS), strict=True))
# Verhoeff: multiplication in the dihedral group of order ten, and the permutation by place.
_VERHOEFF = tuple(
    tuple(
        ((a + b) % 5 if b < 5 else (a + b) % 5 + 5) if a < 5 else ((a - b) % 5 + 5 if b < 5 else (a - b) % 5)
        for b in range(10)
    )
    for a in range(10)
)
_SHIFT = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def digits(text: str) -> str:
    """Only the digits of ``text``."""
    return _NOT_DIGIT.sub("", text)


def luhn(text: str) -> bool:
    """The checksum of card numbers (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, character in enumerate(reversed(digits(text))):
        value = int(character)
        if position % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def weighted(number: str, weights: Sequence[int], modulus: int) -> int:
    """Sum of digits times weights, modulo."""
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False)) % modulus


def us_ssn(text: str) -> bool:
    """A US social security number that could have been issued."""
    number = digits(text)
    area, group, serial = number[:3], number[3:5], number[5:]
    return area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000"


def uk_nino(text: str) -> bool:
    """A UK National Insurance number: no prefix that is never given out."""
    prefix = text[:2].upper()
    never = {"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"}
    return prefix not in never and prefix[0] not in "DFIQUV" and prefix[1] not in "DFIOQUV"


def de_tax_id(text: str) -> bool:
    """A German tax number (Steuer-ID): ISO 7064 MOD 11,10, one digit repeated among the first ten."""
    number = digits(text)
    if len(number) != 11 or number[0] == "0" or len(set(number[:10])) not in {8, 9}:
        return False
    product = 10
    for character in number[:10]:
        total = (int(character) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(number[10])


def fr_nir(text: str) -> bool:
    """A French social security number (NIR): 97 minus the number modulo 97; Corsica's letters stand for digits."""
    compact = re.sub(r"[ .]", "", text).upper().replace("2A", "19", 1).replace("2B", "18", 1)
    return len(compact) == 15 and compact.isdigit() and 97 - int(compact[:13]) % 97 == int(compact[13:])


def es_dni(text: str) -> bool:
    """A Spanish DNI or NIE: the letter is the number modulo 23."""
    compact = re.sub(r"[ \-.]", "", text).upper()
    number = compact[:-1].translate(str.maketrans("XYZ", "012"))
    return len(compact) == 9 and number.isdigit() and _DNI[int(number) % 23] == compact[-1]


def it_fiscal_code(text: str) -> bool:
    """An Italian codice fiscale: odd and even places have their own values, the sum modulo 26 is the last letter."""
    code = text.upper()
    if len(code) != 16 or not code.isalnum() or not code.isascii():
        return False
    total = sum(
        _CF_ODD[c] if place % 2 == 0 else (int(c) if c.isdigit() else ord(c) - 65) for place, c in enumerate(code[:15])
    )
    return chr(65 + total % 26) == code[15]


def nl_bsn(text: str) -> bool:
    """A Dutch BSN: weights 9 to 2 and minus 1, divisible by 11."""
    number = digits(text).zfill(9)
    return len(number) == 9 and len(set(number)) > 2 and weighted(number, (9, 8, 7, 6, 5, 4, 3, 2, -1), 11) == 0


def be_national(text: str) -> bool:
    """A Belgian national number: 97 minus the first nine digits modulo 97, with a 2 in front for births since 2000."""
    number = digits(text)
    if len(number) != 11:
        return False
    return any(97 - int(front + number[:9]) % 97 == int(number[9:]) for front in ("", "2"))


def pl_pesel(text: str) -> bool:
    """A Polish PESEL: a date of birth in front, weights 1, 3, 7, 9 repeated."""
    number = digits(text)
    if len(number) != 11 or not 1 <= int(number[2:4]) % 20 <= 12 or not 1 <= int(number[4:6]) <= 31:
        return False
    return weighted(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10) == 0


def se_personnummer(text: str) -> bool:
    """A Swedish personnummer: a date and the Luhn checksum over its last ten digits."""
    number = digits(text)[-10:]
    return len(number) == 10 and 1 <= int(number[2:4]) <= 12 and 1 <= int(number[4:6]) % 60 <= 31 and luhn(number)


def fi_hetu(text: str) -> bool:
    """A Finnish personal identity code: the date and serial modulo 31 give the last character."""
    number = digits(text[:6] + text[7:10])
    return len(text) == 11 and len(number) == 9 and _HETU[int(number) % 31] == text[10].upper()


def br_cpf(text: str) -> bool:
    """A Brazilian CPF: two check digits modulo 11."""
    number = digits(text)
    if len(number) != 11 or len(set(number)) == 1:
        return False
    return all(
        weighted(number[:place], range(place + 1, 1, -1), 11) * 10 % 11 % 10 == int(number[place]) for place in (9, 10)
    )


def in_aadhaar(text: str) -> bool:
    """An Indian Aadhaar number: twelve digits that begin with 2 to 9, checked by Verhoeff's scheme."""
    number = digits(text)
    if len(number) != 12 or number[0] in "01":
        return False
    check = 0
    for place, character in enumerate(reversed(number)):
        value = int(character)
        for _round in range(place % 8):
            value = _SHIFT[value]
        check = _VERHOEFF[check][value]
    return check == 0


def kr_rrn(text: str) -> bool:
    """A South Korean resident registration number: a date of birth, weights 2 to 9 and 2 to 5, modulo 11."""
    number = digits(text)
    if len(number) != 13 or not 1 <= int(number[2:4]) <= 12 or not 1 <= int(number[4:6]) <= 31:
        return False
    return (11 - weighted(number[:12], (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), 11)) % 10 == int(number[12])


def ca_sin(text: str) -> bool:
    """A Canadian social insurance number: nine digits, not beginning with 0 or 8, Luhn."""
    number = digits(text)
    return len(number) == 9 and number[0] not in "08" and luhn(number)


def au_tfn(text: str) -> bool:
    """An Australian tax file number: weights 1, 4, 3, 7, 5, 8, 6, 9, 10, divisible by 11."""
    number = digits(text)
    return len(number) == 9 and len(set(number)) > 2 and weighted(number, (1, 4, 3, 7, 5, 8, 6, 9, 10), 11) == 0
