"""Masked examples: enough to recognise what was found, not enough to use it."""

from __future__ import annotations

_DOT = "•"
MASKS = ("middle", "ends", "email", "card", "secret")


def mask(text: str, style: str) -> str:
    """``text`` with its substance replaced; never longer than 64 characters."""
    if style == "email":
        name, _, domain = text.partition("@")
        top = domain.rpartition(".")[2]
        return f"{name[:1]}{_DOT * 3}@{domain[:1]}{_DOT * 3}.{top}"[:64]
    if style == "card":
        last = "".join(character for character in text if character.isdigit())[-4:]
        return f"{_DOT * 4} {_DOT * 4} {_DOT * 4} {last}"
    if style == "secret":
        return f"{text[:4]}{_DOT * 12}"
    if style == "ends":
        shown = 2 if len(text) >= 8 else 1
        middle = "".join(_DOT if character.isalnum() else character for character in text[shown:-shown])
        return f"{text[:shown]}{middle}{text[-shown:]}"[:64]
    return f"{text[:1]}{_DOT * min(12, max(3, len(text) - 1))}"
