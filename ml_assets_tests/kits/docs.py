"""Documents as data: their shell blocks, links and anchors."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        ROOT / "helm" / "ml-assets" / "README.md",
        ROOT / "observability" / "README.md",
    ]
)
# Guides whose blocks a test runs. They alone have blocks of `bash`; what needs more
# than a newcomer has, such as a cluster, is `sh`, and its commands are only looked up.
EXECUTED = (
    "getting-started",
    "add-a-model",
    "extend",
    "own-python",
    "operate",
    "security",
    "troubleshooting",
)
SHELLS = ("bash", "sh")
FENCE = re.compile(r"^ *(?P<ticks>```+)(?P<info>[^`]*)$")
HEADING = re.compile(r"^#{1,6} +(?P<text>.*?) *#*$")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)[^)]*\)")
CODE = re.compile(r"`+[^`]*`+")


class Block(NamedTuple):
    """A fenced block: where it begins, the words of its fence, and its text."""

    line: int
    language: str
    options: dict[str, str]
    text: str


class Document(NamedTuple):
    """A document without its fenced blocks, line by line, and the blocks."""

    prose: list[tuple[int, str]]
    blocks: list[Block]

    @property
    def shell(self) -> list[Block]:
        """The blocks that a reader would paste into a shell."""
        return [block for block in self.blocks if block.language in SHELLS]


def read(path: Path) -> Document:
    """Take a Markdown file apart; a fence that is never closed is an error."""
    prose: list[tuple[int, str]] = []
    blocks: list[Block] = []
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        fence = FENCE.match(line)
        if fence is None:
            prose.append((number, line))
            continue
        language, *words = fence["info"].split() or [""]
        options = dict(word.partition("=")[::2] for word in words)
        text = "\n".join(_until(fence["ticks"], lines, f"{path}:{number}"))
        blocks.append(Block(number, language, options, text))
    return Document(prose, blocks)


def _until(ticks: str, lines: Iterator[tuple[int, str]], where: str) -> list[str]:
    found: list[str] = []
    for _, line in lines:
        if line.strip() == ticks:
            indent = min(
                (len(x) - len(x.lstrip()) for x in found if x.strip()), default=0
            )
            return [x[indent:] for x in found]
        found.append(line)
    raise ValueError(f"{where}: the block is never closed")


def links(path: Path) -> Iterator[tuple[int, str]]:
    """Line and target of each link of a document."""
    for number, line in read(path).prose:
        for found in LINK.finditer(CODE.sub("", line)):
            yield number, found["target"]


def anchors(path: Path) -> set[str]:
    """The fragments by which GitHub lets the headings of a document be reached."""
    found: set[str] = set()
    for _, line in read(path).prose:
        heading = HEADING.match(line)
        if heading is None:
            continue
        text = LINK.sub(lambda link: link[0][1 : link[0].index("]")], heading["text"])
        kept = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = 0
        while (name := f"{kept}-{number}" if number else kept) in found:
            number += 1
        found.add(name)
    return found


def broken_links(path: Path) -> list[str]:
    """Links to files or headings of this project that are not there."""
    broken = []
    for number, target in links(path):
        name, _, fragment = target.partition("#")
        if "://" in name or name.startswith("mailto:"):
            continue
        file = (path.parent / name).resolve() if name else path
        if not file.exists():
            broken.append(f"{path.name}:{number}: {name} does not exist")
        elif fragment and file.suffix == ".md" and fragment not in anchors(file):
            broken.append(f"{path.name}:{number}: {target} has no such heading")
    return broken
