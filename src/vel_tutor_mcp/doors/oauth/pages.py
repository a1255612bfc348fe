"""The pages: HTML without scripts, which loads nothing and stands in nobody's frame."""

import hashlib
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

_FOLDER = Path(__file__).parent / "pages"


def page(name: str, status: int, leads_to: str = "", **values: Any) -> HTMLResponse:
    """The page of this name; its form leads back here and, where that is named, on to `leads_to`."""
    style, digest = _style()
    # Some browsers hold form-action against where the answer to a form redirects, too.
    targets = f"'self' {leads_to}".strip()
    content = _pages().get_template(f"{name}.html").render(style=style, **values)
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action {targets}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        # With `no-referrer` browsers would send forms from the origin `null`, which the gate refuses.
        "referrer-policy": "same-origin",
        "cache-control": "no-store",
    }
    return HTMLResponse(content, status, headers)


@cache
def _pages() -> Environment:
    return Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)


@cache
def _style() -> tuple[Markup, str]:
    """The style, and the digest by which the policy lets it in."""
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    return Markup(style), b64encode(hashlib.sha256(style.encode()).digest()).decode()  # noqa: S704 - a file of ours
