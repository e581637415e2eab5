"""What one may do with people, teams, tokens and sign-ins."""

from apps.accounts.services.people import (
    membership_grant,
    membership_revoke,
    team_create,
    user_create,
    user_deactivate,
)
from apps.accounts.services.sign_in import password_change, sign_in, sign_out
from apps.accounts.services.tokens import (
    IssuedToken,
    token_authenticate,
    token_create,
    token_issue,
    token_revoke,
)

__all__ = [
    "IssuedToken",
    "membership_grant",
    "membership_revoke",
    "password_change",
    "sign_in",
    "sign_out",
    "team_create",
    "token_authenticate",
    "token_create",
    "token_issue",
    "token_revoke",
    "user_create",
    "user_deactivate",
]
