"""The secrets that tests plant. MARK is in each of them: `leaks.py` finds it wherever one comes to light."""

MARK = "Plant3d-by-tests"

PASSWORD, OTHER_PASSWORD = f"{MARK}-1", f"{MARK}-2"


def key(prefix: str) -> str:
    """A key as a vendor gives it; the server's own, or one that somebody stores."""
    return f"{prefix}-{MARK}-0123456789abcdef-WXYZ"
