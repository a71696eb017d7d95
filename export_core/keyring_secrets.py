"""Secrets that the user keeps in the system's keyring instead of in a file."""

from __future__ import annotations

SERVICE = "packmule"


def from_keyring(name: str) -> str | None:
    """What the keyring holds for packmule under a name; None when it holds nothing or there is no keyring."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        secret: str | None = keyring.get_password(SERVICE, name)
    except KeyringError:  # a server without a desktop has no place for secrets
        return None
    return secret
