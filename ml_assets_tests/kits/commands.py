"""Whether commands exist, and take the options that they are given."""

import contextlib
import importlib.util
import io
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import yaml

from ml_assets.cli import main
from ml_assets_tests.kits.docs import ROOT
from ml_assets_tests.kits.shell import commands

# Paths of this project by their first part; those below `defs` are the reader's own.
OURS = re.compile(
    r"(?:\./)?(helm|docs|docker|ml_assets|ml_assets_tests|observability|benchmarks)/"
    r"(?!defs/)[\w./-]+"
)
# Whose options only they know.
FOREIGN = set("""
    cat cd chmod cp curl cut echo export false gh git grep head helm jq kill kind
    kubectl ls mkdir mv openssl pg_dump pg_dumpall pg_restore promtool psql rm sed set
    sleep sort source stat tail tar tee test touch true umask unset wait
    """.split())


def faults(script: str) -> list[str]:
    """What a reader who pastes `script` into a shell would see refused."""
    return [fault for words in commands(script) for fault in _faults(words)]


def _faults(words: list[str]) -> Iterator[str]:
    program, arguments = Path(words[0]).name, words[1:]
    for word in words:
        path = OURS.fullmatch(word)
        if path and not (ROOT / word).exists():
            yield f"{shlex.join(words)}: {word} does not exist"
    check = CHECKS.get(program)
    if check is not None:
        yield from (f"{shlex.join(words)}: {fault}" for fault in check(arguments))
    elif program not in FOREIGN:
        yield f"{shlex.join(words)}: {program} is no known program"


def _make(arguments: list[str]) -> Iterator[str]:
    for word in arguments:
        if not word.startswith("-") and "=" not in word and word not in targets():
            yield f"the Makefile has no target {word}"


@cache
def targets() -> set[str]:
    """The targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.MULTILINE))


@cache
def dg() -> click.Group:
    """The command line of ``dg``."""
    from dagster_dg_cli.cli import create_dg_cli

    group: click.Group = create_dg_cli()
    return group


@cache
def dagster() -> click.Group:
    """The command line of ``dagster``."""
    from dagster._cli import create_dagster_cli

    group: click.Group = create_dagster_cli()
    return group


def _click(name: str, root: Callable[[], click.Group]) -> Any:
    def check(arguments: list[str]) -> Iterator[str]:
        output = io.StringIO()
        # An option that is asked for is not missing: somebody answers.
        asked, sys.stdin = sys.stdin, io.StringIO("an answer\n" * 3)
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                _parse(root(), name, arguments)
        except click.ClickException as error:
            if not _is_for_the_reader(error):
                yield error.format_message()
        except click.exceptions.Exit:
            # It was only asked for help.
            return
        except SystemExit as ended:
            if ended.code:
                yield output.getvalue().strip()
        finally:
            sys.stdin = asked

    return check


def _parse(command: click.Command, name: str, arguments: list[str]) -> None:
    """Let the command's own parser read the arguments; nothing is run."""
    context = command.make_context(name, list(arguments))
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        resolved, found, rest = command.resolve_command(context, rest)
        assert resolved is not None and found is not None
        command, context = found, found.make_context(resolved, rest, parent=context)


def _is_for_the_reader(error: click.ClickException) -> bool:
    """Whether what is wrong is a file that the reader has, or a variable's value."""
    if not isinstance(error, click.BadParameter):
        return False
    kind = getattr(error.param, "type", None)
    return isinstance(kind, click.Path | click.File) or "'$" in error.message


def _python(arguments: list[str]) -> Iterator[str]:
    if arguments[:1] == ["-m"]:
        module = arguments[1]
        if importlib.util.find_spec(module) is None:
            yield f"there is no module {module}"


def _docker(arguments: list[str]) -> Iterator[str]:
    if arguments[:1] == ["compose"]:
        yield from _compose(arguments[1:])
    stages = re.findall(r" AS ([a-z]+)", (ROOT / "Dockerfile").read_text())
    for option, value in zip(arguments, arguments[1:], strict=False):
        if option == "--target" and "$" not in value and value not in stages:
            yield f"the Dockerfile has no target {value}"


def _compose(arguments: list[str]) -> Iterator[str]:
    """Services stand behind the subcommand and its flags."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    named = [word for word in arguments[1:] if not word.startswith("-")]
    if arguments[0] in ("run", "exec"):
        named = named[:1]
    if arguments[0] in ("run", "exec", "up", "start", "stop", "restart", "logs"):
        for word in named:
            if word not in services:
                yield f"compose.yaml has no service {word}"


def inline_faults(span: str) -> list[str]:
    """What is wrong with a command that a sentence mentions, perhaps not in full.

    Only the names of subcommands, options and targets are checked.
    """
    try:
        words = shlex.split(span)
    except ValueError:
        return []
    if words[:1] == ["make"]:
        return list(_make([word for word in words[1:2] if word.islower()]))
    roots = {"ml-assets": lambda: main, "dg": dg, "dagster": dagster}
    if not words or words[0] not in roots:
        return []
    command: click.Command = roots[words[0]]()
    words = words[1:]
    while isinstance(command, click.Group) and words and words[0].islower():
        try:
            found = command.get_command(click.Context(command), words[0])
        except click.UsageError as error:
            return [f"{span}: {error.message}"]
        if found is None:
            return [f"{span}: there is no subcommand {words[0]}"]
        command, words = found, words[1:]
    known = {name for option in command.params for name in option.opts}
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    return [f"{span}: there is no option {name}" for name in sorted(given - known)]


CHECKS: dict[str, Callable[[list[str]], Iterator[str]]] = {
    "make": _make,
    "ml-assets": _click("ml-assets", lambda: main),
    "dg": _click("dg", dg),
    "dagster": _click("dagster", dagster),
    "python": _python,
    "docker": _docker,
}
