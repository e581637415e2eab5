"""Pages of people: sign-in, profile, API tokens."""
