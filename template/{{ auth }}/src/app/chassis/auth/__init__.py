"""Authentication and authorization: users, tokens, scopes and the ownership of rows."""

from app.chassis.auth.component import add_auth

__all__ = ["add_auth"]
