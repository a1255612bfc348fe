"""The secret keys of this installation, by its settings. It loads little: doors need it before the product is open."""

from vel_tutor_mcp.auth.sealing import SecretKeys
from vel_tutor_mcp.settings import Settings


def secret_keys_of(settings: Settings) -> SecretKeys:
    """The secret keys that the settings hold, or those of the home's file; nothing is read yet."""
    text = settings.secret_key
    return SecretKeys(text.get_secret_value() if text else None, settings.home)
