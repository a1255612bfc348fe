"""The code blocks of the documentation, and the commands within its sentences.

Behind the language of a block may stand what is to become of it:

    ```sh no-run: needs docker     it is checked but not run, for this reason
    ```sh background               it goes on while the rest of the page is run
    ```toml vel-tutor.toml         it is what stands in this file for what follows
    ```text picture: the layers    it is for the eye alone

What a block takes for granted, as that a folder is there, stands before it for the test alone: `<!-- given: SHELL -->`.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
PAGES = tuple(sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md")))
ALL_PAGES = ("README.md", "CONTRIBUTING.md", *PAGES)

# Pages with a test of their own, for what they say is to be done in a checkout.
BY_THEMSELVES = {"docs/how-to/adding.md": "tests/acceptance/test_adding.py"}

SHELL = ("sh", "console")
RUN = (*SHELL, "python", "sql")
READ = ("json", "toml", "yaml", "ini", "mermaid")

GIVEN = "given"
_GIVEN = re.compile(r"<!-- given: (.*?) -->", re.DOTALL)
_MARK = re.compile(r"(?:no-run|picture): \S.*|background|given")
_FILE = re.compile(r"[\w./-]+\.\w+")
_PROMPT = "$ "
_OPERATORS = "();<>|&\n"
_COMMENT = re.compile(r"(?m)(?:^|\s)#.*$")
_SUBSTITUTED = re.compile(r'"\$\(([^)]*)\)"')
_SET_FOR_IT = re.compile(r"\w+=.*|exec")


@dataclass(frozen=True)
class Block:
    """`mark` is what stands behind the language."""

    page: str
    line: int
    language: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def known(self) -> bool:
        """Whether something is done with it, or it says why not."""
        if self.mark and not self.file and not _MARK.fullmatch(self.mark):
            return False
        return self.language in RUN + READ or self.unproven

    @property
    def unproven(self) -> bool:
        """Whether it says that it is not run, and why."""
        return self.mark.startswith(("no-run: ", "picture: "))

    @property
    def file(self) -> str:
        """Whose content it is, or nothing."""
        return self.mark if _FILE.fullmatch(self.mark) else ""

    @property
    def runs(self) -> bool:
        return bool(self.file) or (self.language in RUN and not self.unproven)

    @property
    def script(self) -> str:
        """What is typed."""
        return self.text if self.language != "console" else "\n".join(typed for typed, _ in self.conversation())

    def conversation(self) -> list[tuple[str, str]]:
        """Of a console: each command, and what is shown below it."""
        spoken: list[tuple[str, str]] = []
        if self.language != "console":
            return spoken
        for line in self.text.splitlines():
            if line.startswith(_PROMPT):
                spoken.append((line.removeprefix(_PROMPT), ""))
            else:
                command, shown = spoken.pop()
                spoken.append((command, f"{shown}{line}\n"))
        return spoken


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Those of the page, in order, and what is given for them."""
    return [block for token in MarkdownIt().parse(read(page)) if (block := _block(page, token))]


def _block(page: str, token: Token) -> Block | None:
    if token.type == "html_block" and token.map and (given := _GIVEN.search(token.content)):
        return Block(page, token.map[0] + 1, "sh", GIVEN, f"{given[1]}\n")
    if token.type not in {"fence", "code_block"}:
        return None
    language, _, mark = token.info.strip().partition(" ")
    assert token.map
    return Block(page, token.map[0] + 1, language, mark, token.content)


def in_sentences(page: str) -> list[str]:
    """What stands as code within the text of a page."""
    tokens = MarkdownIt().enable("table").parse(read(page))
    children = (child for token in tokens for child in token.children or ())
    return [child.content for child in children if child.type == "code_inline"]


def commands(program: str, text: str) -> Iterator[list[str]]:
    """The arguments of each call of the program in a script."""
    if program not in text:
        return
    for part in [text, *_SUBSTITUTED.findall(text)]:
        for simple in _simple_commands(_COMMENT.sub("", part.replace("\\\n", ""))):
            while simple and _SET_FOR_IT.fullmatch(simple[0]):
                simple.pop(0)
            if simple and simple[0].rpartition("/")[2] == program:
                yield simple[1:]


def _simple_commands(script: str) -> list[list[str]]:
    """What stands between the operators and ends of lines of a script."""
    words = shlex.shlex(script, posix=True, punctuation_chars=_OPERATORS)
    words.whitespace, words.commenters = " \t", ""
    words.whitespace_split = True
    simple: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set(_OPERATORS):
            simple.append([])
        else:
            simple[-1].append(word)
    return simple
