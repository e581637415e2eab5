"""Telephone numbers by numbering plan: whether a number can be dialled in one of some countries."""

from __future__ import annotations

import phonenumbers


def known_region(code: str) -> bool:
    """Whether there is a numbering plan for this country code (ISO 3166, such as DE)."""
    return code in phonenumbers.SUPPORTED_REGIONS


def dialled_in(text: str, regions: tuple[str, ...]) -> bool:
    """Whether ``text`` is a valid number when dialled in one of ``regions``; with a leading + it speaks for itself,
    and must belong to one of them."""
    for region in regions:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number_for_region(number, region):
            return True
    return False


def dialled_anywhere(text: str) -> bool:
    """Whether an international number (with +) fits the plan of its country."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, None))
    except phonenumbers.NumberParseException:
        return False
