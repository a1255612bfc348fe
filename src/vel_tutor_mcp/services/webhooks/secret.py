"""The secrets that webhooks are signed with, sealed by the secret keys of this installation. All of it blocks."""

from datetime import datetime

from vel_tutor_mcp.auth.sealing import SecretKeys
from vel_tutor_mcp.store.webhooks import PURPOSE, Webhook, context_of


def sealed(secret_keys: SecretKeys, owner_id: str, webhook_id: str, secret: str) -> bytes:
    """Raises:
    ConfigurationError: the secret keys cannot be used.
    """
    return secret_keys.seal(secret.encode(), PURPOSE, context_of(owner_id, webhook_id))


def opened(secret_keys: SecretKeys, webhook: Webhook, at: datetime) -> list[str]:
    """Those that sign now: the present one, and the one before it while that may still be what a receiver knows.

    Raises:
        ConfigurationError: one cannot be opened.
    """
    both = webhook.before_until is not None and webhook.before_until > at
    signing = webhook.sealed if both else webhook.sealed[:1]
    return [secret_keys.opened(sealed).decode() for sealed in signing]
