"""Programs of npm for tests: what `tests/node/package-lock.json` names, installed once, in a cache by its hash."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import platformdirs
import pytest
from filelock import FileLock
from server import soon

FOLDER = Path(__file__).parent / "node"
_INSTALL_SECONDS = 400
_END_SECONDS = 5
_UNPACK = """
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
const [from, to] = process.argv.slice(1);
await pipeline(createReadStream(from), createBrotliDecompress(), createWriteStream(to, { mode: 0o755 }));
"""


class NoNodeError(Exception):
    """The programs cannot be had here; the text says why."""


def packages() -> Path:
    """The folder in which programs find their packages, and `chromium` lies with the libraries that it needs."""
    return installed(FOLDER, _install)


def installed(source: Path, install: Callable[[Path], None]) -> Path:
    """The folder of what `source` locks; `install` fills it, once on this machine.

    Raises:
        NoNodeError: it cannot be had here.
    """
    lock = (source / "package-lock.json").read_bytes()
    folder = platformdirs.user_cache_path("vel-tutor-mcp-tests") / f"node-{hashlib.sha256(lock).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock", timeout=_INSTALL_SECONDS):
        if not (folder / "ready").exists():
            install(folder)
            (folder / "ready").touch()
    return folder


def had(folder: Callable[[], Path]) -> Path:
    """The folder. On a machine that cannot have it the test is skipped, but never in CI."""
    try:
        return folder()
    except NoNodeError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"No programs of npm here: {error}")


def clean_install(folder: Path, *options: str) -> None:
    """What the lock in the folder names, and no scripts of it: they fetch things from elsewhere."""
    call(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *options], folder)


class Program:
    """A program of `tests/node/`, with the packages of a folder: it says lines of JSON, and is told such."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self._folder = folder
        self._text = (FOLDER / f"{name}.mjs").read_text(encoding="utf-8")
        self._arguments = arguments

    async def __aenter__(self) -> Self:
        # Its text, not its file: packages are looked for from where it stands, which is the cache then.
        command = ["node", "--input-type=module", "--eval", self._text, "--", *self._arguments]
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *command, cwd=self._folder, stdin=pipe, stdout=pipe, stderr=pipe
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let it see the end of its input, and end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await soon(self._process.communicate(), _END_SECONDS)
        except TimeoutError:
            self._process.kill()
            await soon(self._process.wait())

    def tell(self, what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")

    async def said(self) -> Any:
        """The next line; where it ends instead, the failure shows what it complained of."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = await soon(self._process.stdout.readline())
        assert line, (await soon(self._process.stderr.read())).decode(errors="replace")
        return json.loads(line)


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FOLDER / name, folder / name)
    clean_install(folder)
    packed = folder / "node_modules" / "@sparticuz" / "chromium" / "bin"
    for name, unpacked in (("chromium", "chromium"), ("al2023.tar", "libraries.tar")):
        call(["node", "--input-type=module", "--eval", _UNPACK, "--", packed / f"{name}.br", folder / unpacked], folder)
    shutil.unpack_archive(folder / "libraries.tar", folder)


def call(command: list[str | Path], folder: Path) -> None:
    try:
        subprocess.run(
            command, check=True, timeout=_INSTALL_SECONDS, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True
        )
    except subprocess.CalledProcessError as problem:
        raise NoNodeError(f"{command[0]} failed: {problem.stderr.decode(errors='replace')}") from problem
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NoNodeError(f"{command[0]} cannot run: {problem}") from problem
