"""Pictures of pages for documents: PNG of at most 256 colours, a third of what a browser writes."""

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import FloatRect, Page

_COLOURS = 256
_HIGHEST = 1600
# Of the squares of differences in red, green and blue.
_ALIKE = 60
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_AT_ONCE = 4096
# The pixels of a PNG, as a browser reads them.
_PIXELS = """async (png) => {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const { data } = canvas.getImageData(0, 0, image.width, image.height);
  let text = "";
  for (let at = 0; at < data.length; at += 32768) text += String.fromCharCode(...data.subarray(at, at + 32768));
  return { width: image.width, height: image.height, pixels: btoa(text) };
}"""


async def take(page: Page, file: Path) -> None:
    """The page from its top, down to `_HIGHEST` pixels."""
    wide, high = await page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    clip = FloatRect(x=0, y=0, width=wide, height=min(high, _HIGHEST))
    shot = base64.b64encode(
        await page.screenshot(animations="disabled", caret="hide", full_page=True, clip=clip)
    ).decode()
    blank = await page.context.new_page()  # which has no policy against it
    read: dict[str, Any] = await blank.evaluate(_PIXELS, shot)
    await blank.close()
    pixels = np.frombuffer(base64.b64decode(read["pixels"]), np.uint8).reshape(read["height"], read["width"], 4)
    file.write_bytes(written(pixels[:, :, :3]))


def written(pixels: Any) -> bytes:
    """The PNG of so many rows of pixels, each of red, green and blue."""
    height, width, _ = pixels.shape
    found, which, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    palette = chosen(found[np.argsort(-counts, kind="stable")])
    rows = nearest(found, palette)[which.reshape(-1)].reshape(height, width)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", palette.tobytes()), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in parts)


def chosen(colours: Any) -> Any:
    """Of the colours, the commonest first, those that are unlike all before: rare ones that stand out have a place."""
    kept = colours[:1].astype(np.int32)
    for colour in colours[1:].astype(np.int32):
        if len(kept) == _COLOURS:
            break
        if ((kept - colour) ** 2).sum(axis=1).min() > _ALIKE:
            kept = np.vstack([kept, colour])
    return kept.astype(np.uint8)


def nearest(colours: Any, palette: Any) -> Any:
    """For each colour the place of the one in the palette that is most like it."""
    signed = palette.astype(np.int32)
    parts = [colours[at : at + _AT_ONCE].astype(np.int32) for at in range(0, len(colours), _AT_ONCE)]
    return np.concatenate([((part[:, None] - signed) ** 2).sum(axis=2).argmin(axis=1) for part in parts]).astype(
        np.uint8
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
