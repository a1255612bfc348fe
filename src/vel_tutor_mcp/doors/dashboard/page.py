"""The page: one file with all that it needs in it. It carries no data, so everybody may have it."""

import gzip
import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

_FILE = Path(__file__).with_name("page.html")
_INLINE = re.compile(r"<(script|style)\b[^>]*>(.*?)</\1>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """The page as it is served; `policy` lets in the scripts and styles that stand in it, and no others."""

    plain: bytes
    packed: bytes
    policy: str
    etag: str

    @classmethod
    def of(cls, html: str) -> Self:
        plain = html.encode()
        etag = f'W/"{hashlib.sha256(plain).hexdigest()[:20]}"'  # weak: it is of both spellings
        # Without a time in it: the same page has the same bytes in every process.
        return cls(plain, gzip.compress(plain, mtime=0), _policy(html), etag)


def html() -> str:
    """The page's text, as it was built."""
    return _FILE.read_text(encoding="utf-8")


@cache
def page() -> Page:
    """Read once: a new page comes with a new version of the product."""
    return Page.of(html())


def _policy(html: str) -> str:
    return (
        f"default-src 'none'; script-src {' '.join(_hashes(html, 'script'))}; "
        f"style-src {' '.join(_hashes(html, 'style'))}; connect-src 'self'; img-src data:; form-action 'none'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def _hashes(html: str, element: str) -> Iterator[str]:
    found = [content for name, content in _INLINE.findall(html) if name.lower() == element]
    for content in found:
        yield f"'sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
    if not found:
        yield "'none'"
