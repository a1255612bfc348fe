"""What the process's environment says of the way out: its proxy, and whose certificates are trusted.

The HTTP client reads it where it is made, and raises all sorts of errors for what it cannot use.
"""

from collections.abc import Callable
from typing import TypeVar

import httpx2

from vel_tutor_mcp.errors import ConfigurationError

Made = TypeVar("Made")


def by_environment(make: Callable[[], Made]) -> Made:
    """What `make` makes, which is one or more HTTP clients.

    Raises:
        ConfigurationError: they cannot be made. It names variables, and not what is in them: a proxy's may hold a
            password.
    """
    try:
        return make()
    except OSError:
        raise ConfigurationError(
            "a file that SSL_CERT_FILE, SSL_CERT_DIR or SSLKEYLOGFILE names cannot be used; correct or unset it."
        ) from None
    # ImportError: of a SOCKS proxy, whose package is not among ours.
    except (ImportError, ValueError, httpx2.InvalidURL):
        raise ConfigurationError(
            "the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names cannot be used; name one by http:// or "
            "https://, not by socks://, or unset it."
        ) from None
