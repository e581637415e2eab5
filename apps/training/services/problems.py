"""Collecting everything that is wrong with a submission, so that one answer names it all."""

from __future__ import annotations

from apps.core.errors import FieldError, ValidationFailed


class Problems:
    """Field errors, in the order they were found."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def __bool__(self) -> bool:
        return bool(self.errors)

    def add(self, field: str, code: str, message: str) -> None:
        """Note one problem; `field` is the name callers sent, in camelCase."""
        self.errors.append(FieldError(field, code, message))

    def take(self, error: ValidationFailed) -> None:
        """Note what another check refused."""
        self.errors.extend(error.errors or [FieldError("", error.code, error.message)])

    def raise_if_any(self) -> None:
        """Raise ValidationFailed (400) with everything noted."""
        if self.errors:
            rest = len(self.errors) - 1
            more = f" (and {rest} more)" if rest else ""
            first = self.errors[0]
            raise ValidationFailed(f"{first.field}: {first.message}{more}", errors=self.errors)
