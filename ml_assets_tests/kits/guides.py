"""A reader who follows a guide, and compares what it shows with what is printed."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ml_assets_tests.kits.docs import Block, read
from ml_assets_tests.kits.processes import await_true, processes_with

# What is another one for each reader: versions, ids of predictions and runs, keys.
OWN = re.compile(
    r"\d{8}T\d{6}Z|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{16}\b"
)
ANYTHING = "..."
INTERRUPT = re.compile(r"<!-- Ctrl-C terminal=(?P<name>\w+) -->")
DONE = "a block is done with"


class Step(NamedTuple):
    """Something to do: a block to run and what it shows, or a terminal to stop."""

    line: int
    section: str
    block: Block | None
    shown: list[str]
    stopped: str

    @property
    def needs(self) -> str:
        """What must be there that not every reader has."""
        return self.block.options.get("needs", "") if self.block else ""


def steps(path: Path) -> list[Step]:
    """What the guide at `path` has its reader do, in its order."""
    document = read(path)
    found: list[Step] = []
    parts = [*document.prose, *((block.line, block) for block in document.blocks)]
    section = ""
    for line, part in sorted(parts, key=lambda pair: pair[0]):
        if isinstance(part, str):
            section = part[3:] if part.startswith("## ") else section
            if stop := INTERRUPT.search(part):
                found.append(Step(line, section, None, [], stop["name"]))
        elif part.language == "bash":
            found.append(Step(line, section, part, [], ""))
        elif part.language == "text" and found:
            found[-1].shown.extend(part.text.splitlines())
    return found


class Terminal:
    """A shell into which one block after the other is pasted."""

    def __init__(self, directory: Path, environment: dict[str, str], log: Path) -> None:
        self.log = log
        self._block = log.with_suffix(".sh")
        with log.open("wb") as stream:
            self.shell = subprocess.Popen(
                ["bash", "--noprofile", "--norc"],
                cwd=directory,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._type("set -o pipefail; trap 'failed=$?' ERR")

    def _type(self, text: str) -> None:
        assert self.shell.stdin is not None
        self.shell.stdin.write(text.encode() + b"\n")
        self.shell.stdin.flush()

    @property
    def is_over(self) -> bool:
        """Whether the shell has ended."""
        return self.shell.poll() is not None

    def start(self, text: str) -> int:
        """Paste a block; where its output begins in the log."""
        begin = self.log.stat().st_size
        self._block.write_text(text + "\n")
        self._type(f"failed=0; . {self._block} < /dev/null; echo; echo {DONE} $failed")
        return begin

    def output(self, begin: int) -> str:
        with self.log.open("rb") as stream:
            stream.seek(begin)
            return stream.read().decode(errors="replace")

    def run(self, text: str) -> tuple[int, str]:
        """Paste a block and wait for its end; its exit code and its output."""
        begin = self.start(text)
        ended = re.compile(rf"^{DONE} (\d+)$", re.MULTILINE)
        await_true(
            lambda: self.is_over or ended.search(self.output(begin)),
            f"this block had ended:\n{text}",
        )
        output = self.output(begin)
        found = ended.search(output)
        assert found, f"the shell ended in this block:\n{text}\n{output}"
        return int(found[1]), output[: found.start()]

    def interrupt(self) -> None:
        """Press Ctrl-C, and close the terminal once all in it has ended."""
        os.killpg(self.shell.pid, signal.SIGINT)
        assert self.shell.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.shell.stdin.close()
        self.shell.wait(60)

    def kill(self) -> None:
        """Leave nothing, whatever state it is in."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.wait()


class Reader:
    """Follows guides in the directory into which the project is cloned.

    Parameters
    ----------
    directory : Path
        Where the terminals open, and where their logs are kept.
    environment : dict
        Variables of the terminals.
    ports : dict of int to int
        The ports of the guides, and those that are free here.
    patience : float, default 180
        Seconds in which a terminal must show what the guide shows.
    """

    def __init__(
        self,
        directory: Path,
        environment: dict[str, str],
        ports: dict[int, int],
        patience: float = 180.0,
    ) -> None:
        self._patience = patience
        self._directory = directory
        self._mark = f"READER={directory}"
        self._environment = environment | {"READER": str(directory)}
        self._ports = ports
        self._terminals: dict[str, Terminal] = {}
        # What a guide calls a version or an id, and what it is here.
        self._known: dict[str, str] = {}

    def enter(self, text: str) -> None:
        """Do something that no guide shows, such as what another guide did."""
        code, output = self._terminal("first").run(text)
        assert code == 0, output

    def follow(self, todo: list[Step]) -> None:
        """Do each step; fails with the line of the first that does not go as shown."""
        for step in todo:
            try:
                self._do(step)
            except AssertionError as error:
                raise AssertionError(f"line {step.line}: {error}") from error

    def _do(self, step: Step) -> None:
        if step.block is None:
            self._terminals.pop(step.stopped).interrupt()
            return
        name = step.block.options.get("terminal", "")
        terminal = self._terminal(name or "first")
        text = self._here(step.block.text)
        if not name:
            code, output = terminal.run(text)
            wanted = "fails" in step.block.options
            assert bool(code) == wanted, f"exit code {code}:\n{text}\n{output}"
            self._compare(step.shown, output)
            return
        begin = terminal.start(text)
        with contextlib.suppress(AssertionError):
            await_true(
                lambda: terminal.is_over
                or not self._missing(step.shown, terminal.output(begin)),
                "it was shown",
                self._patience,
            )
        self._compare(step.shown, terminal.output(begin))

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            log = self._directory / f"{name}.log"
            self._terminals[name] = Terminal(self._directory, self._environment, log)
        return self._terminals[name]

    def _here(self, text: str) -> str:
        """The guide's text with the versions, ids and ports of this reader."""
        for port, free in self._ports.items():
            text = re.sub(rf"(localhost|127\.0\.0\.1):{port}\b", rf"\1:{free}", text)
        return OWN.sub(lambda found: self._known.get(found[0], found[0]), text)

    def _compare(self, shown: list[str], output: str) -> None:
        """Fail if something that is shown was not printed."""
        missing = self._missing(shown, output)
        assert not missing, f"the guide shows {missing!r}, which is not in\n{output}"

    def _missing(self, shown: list[str], output: str) -> str:
        """The first line that was not printed, in this order, perhaps among others."""
        lines = iter(" ".join(line.split()) for line in output.splitlines())
        for line in shown:
            wanted = self._pattern(line)
            found = next(filter(self._is_new, map(wanted.fullmatch, lines)), None)
            if not found:
                return line
            names = [name for name in OWN.findall(line) if name not in self._known]
            self._known |= dict(zip(dict.fromkeys(names), found.groups(), strict=True))
        return ""

    def _is_new(self, found: re.Match[str] | None) -> bool:
        """Whether what has another name in the guide is another thing here, too."""
        return found is not None and not {*found.groups()} & {*self._known.values()}

    def _pattern(self, line: str) -> re.Pattern[str]:
        """The pattern of a shown line; each new version or id is a group."""
        text, groups = " ".join(self._here(line).split()), dict[str, int]()

        def own(found: re.Match[str]) -> str:
            name = found[0]
            if name == ANYTHING:
                return ".*"
            if name in self._known.values():
                return name
            if name in groups:
                return rf"\{groups[name]}"
            groups[name] = len(groups) + 1
            return f"({OWN.pattern})"

        parts = re.split(rf"({OWN.pattern}|\.\.\.)", text)
        special = re.compile(rf"{OWN.pattern}|\.\.\.")
        return re.compile(
            "".join(
                own(found) if (found := special.fullmatch(part)) else re.escape(part)
                for part in parts
            )
        )

    @contextlib.contextmanager
    def leaving_nothing(self) -> Iterator["Reader"]:
        """At the end every terminal is closed; what still runs then is a fault."""
        try:
            yield self
            for terminal in self._terminals.values():
                terminal.interrupt()
            await_true(lambda: not processes_with(self._mark), "all had ended", 30)
        finally:
            for terminal in self._terminals.values():
                terminal.kill()
            self._terminals.clear()
            for pid in processes_with(self._mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
