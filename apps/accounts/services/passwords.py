"""What a password must be like."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from apps.accounts.models import User
from apps.core.errors import FieldError, ValidationFailed


def password_check(password: str, user: User, *, field: str = "password") -> None:
    """Raise ValidationFailed with every reason on ``field`` when ``password`` is too weak for ``user``."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        rows = [FieldError(field, item.code or "invalid", text) for item in error.error_list for text in item.messages]
        raise ValidationFailed(rows[0].message, errors=rows) from error
