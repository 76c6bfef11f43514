"""What a command line of a pod would start, as the real program's parser reads it.

`started` refuses a command that its program does not take, and one of a program that no
rule knows or that the image does not have. It returns what the command listens on and
what it asks, so that probes can be held against it.
"""

import asyncio
import importlib.metadata
import importlib.util
import inspect
import os
import re
import runpy
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import urlsplit

import click
import httpx
from packaging.utils import canonicalize_name

from ml_assets_tests.kits.chart import ROOT
from ml_assets_tests.kits.processes import await_true, free_ports

DOCKERFILE = (ROOT / "Dockerfile").read_text()
# The lists of packages of each target of the Dockerfile.
LISTS = {
    "base": ("base", "mlflow"),
    "observability": ("base", "mlflow"),
    "ray": ("base", "mlflow", "ray"),
    "production": ("serve",),
}
# Of the Debian image below all targets; the test of the images asks each one for them.
SYSTEM = {"bash", "sh", "sleep"}


class Refused(Exception):
    """A command that would not do what it is there for."""


class Ask(NamedTuple):
    """What a probe wants: ``http``, ``grpc`` or ``tcp`` at a port of its own pod."""

    kind: str
    port: int
    path: str = ""


@dataclass
class Started:
    """What a command does once it runs."""

    listens: dict[int, tuple[str, Callable[[str], bool]]] = field(default_factory=dict)
    asks: list[Ask] = field(default_factory=list)


@dataclass(frozen=True)
class Box:
    """What a command finds: a target of the Dockerfile, and what is mounted."""

    target: str
    root: Path
    mounts: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    def path(self, text: str) -> str:
        """Where a path of the container is on this machine."""
        _, equals, value = text.rpartition("=")
        if value.startswith(tuple(self.mounts)):
            return text[: len(text) - len(value)] + str(self.root) + value
        for source, place in copied(self.target):
            if text == place:
                return str(ROOT / source)
        return text


def started(argv: list[str], box: Box) -> Started:
    """Parse one command; raise `Refused` if it would not run."""
    if not argv:
        raise Refused("there is no command")
    name = argv[0].removeprefix("/bin/")
    if name not in RULES:
        raise Refused(f"no rule knows the program {argv[0]!r}")
    if name not in programs(box.target):
        raise Refused(f"the image {box.target} has no program {argv[0]!r}")
    return RULES[name]([name, *argv[1:]], box)


@cache
def copied(target: str) -> tuple[tuple[str, str], ...]:
    """The single files that the Dockerfile copies into a target: source and place."""
    stages = re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)
    found: list[tuple[str, str]] = []
    wanted = {"ray": "base"}.get(target, target)
    for stage in reversed(stages):
        head = re.match(r"FROM (\S+) AS (\S+)", stage)
        if head and head[2] == wanted:
            wanted = head[1]
            found += re.findall(r"^COPY (docker/\S+) (/\S+)$", stage, re.MULTILINE)
    return tuple(found)


@cache
def programs(target: str) -> frozenset[str]:
    """Programs on the path of an image."""
    lists = [(ROOT / "docker" / f"{name}.txt").read_text() for name in LISTS[target]]
    pins = re.findall(r"^([\w.-]+)==", "\n".join(lists), re.MULTILINE)
    packages = {canonicalize_name(name) for name in pins} | {"ml-assets"}
    scripts = {
        point.name
        for point in importlib.metadata.entry_points(group="console_scripts")
        if point.dist and canonicalize_name(point.dist.name) in packages
    }
    places = {place for _, place in copied(target)}
    own = {Path(place).name for place in places if "/bin/" in place}
    return frozenset(scripts | own | SYSTEM | {"python", "tini"})


def _parsed(
    command: click.Command, argv: list[str], box: Box, prefix: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The path of subcommands that click takes, and the parameters of the last."""
    given = [box.path(word) for word in argv]
    names = [given[0]]
    try:
        with mock.patch.dict(os.environ, dict(box.environment)):
            context = command.make_context(
                given[0], given[1:], auto_envvar_prefix=prefix
            )
            while isinstance(context.command, click.Group):
                rest = [*context._protected_args, *context.args]
                name, sub, rest = context.command.resolve_command(context, rest)
                assert sub is not None
                names.append(str(name))
                context = sub.make_context(str(name), rest, parent=context)
    except click.ClickException as error:
        raise Refused(f"{shlex.join(argv)}: {error.format_message()}") from error
    except click.exceptions.Exit as error:
        raise Refused(f"{shlex.join(argv)}: it would end at once") from error
    return " ".join(names), context.params


def _dagster(argv: list[str], box: Box) -> Started:
    from dagster._cli import cli

    name, given = _parsed(cli, argv, box, "DAGSTER_CLI")
    if name == "dagster api grpc-health-check":
        return Started(asks=[Ask("grpc", int(given["port"]))])
    if name in {"dagster instance migrate", "dagster api execute_run"}:
        return Started()
    if name not in {"dagster api grpc", "dagster code-server start"}:
        raise Refused(f"no rule knows what {name!r} is there for")
    modules = given["module_name"] or ()
    wanted = [modules] if isinstance(modules, str) else [*modules]
    if not wanted or not all(map(importlib.util.find_spec, wanted)):
        raise Refused(f"{shlex.join(argv)}: there is no module {wanted}")
    _reachable(argv, given["host"])
    return Started({int(given["port"]): ("grpc", lambda path: True)})


def _webserver(argv: list[str], box: Box) -> Started:
    from dagster_webserver.cli import dagster_webserver

    _, given = _parsed(dagster_webserver, argv, box)
    _reachable(argv, given["host"])
    prefix = given["path_prefix"] or ""
    return Started({int(given["port"]): ("http", lambda path: _of_ui(prefix, path))})


@cache
def _of_ui(prefix: str, path: str) -> bool:
    """Whether Dagster's own application has a route for it; any page is the UI's."""
    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget
    from dagster_webserver.webserver import DagsterWebserver

    with (
        TemporaryDirectory() as home,
        DagsterInstance.local_temp(home) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context,
    ):
        application = DagsterWebserver(context, prefix).create_asgi_app()
        answer = asyncio.run(_got(application, path))
    kind = answer.headers.get("content-type", "")
    return answer.status_code == 200 and kind.startswith("application/json")


async def _got(application: Any, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.get(path)


def _daemon(argv: list[str], box: Box) -> Started:
    from dagster._daemon.cli import cli

    name, _ = _parsed(cli, argv, box)
    if name not in {"dagster-daemon run", "dagster-daemon liveness-check"}:
        raise Refused(f"no rule knows what {name!r} is there for")
    return Started()


def _ml_assets(argv: list[str], box: Box) -> Started:
    from ml_assets.cli import main

    name, given = _parsed(main, argv, box)
    if name not in {"ml-assets serve", "ml-assets exporter"}:
        raise Refused(f"no rule knows what {name!r} is there for")
    _reachable(argv, given["host"])
    ports = [given[key] for key in ("port", "metrics_port") if given.get(key)]
    return Started(
        {
            port: ("http", lambda path, port=port: _answers(tuple(argv), port, path))
            for port in ports
        }
    )


@cache
def _answers(argv: tuple[str, ...], port: int, path: str) -> bool:
    """Whether the process itself, started so, has something at a port and path."""
    ports = [word for word in argv if word.isdigit()]
    free = dict(zip(ports, map(str, free_ports(len(ports))), strict=True))
    words = [free.get(word, word) for word in argv[1:]]
    words = ["127.0.0.1" if word == "0.0.0.0" else word for word in words]
    with TemporaryDirectory() as home:
        names = ("DAGSTER_HOME", "ML_ASSETS_HOME", "ML_ASSETS_STORAGE")
        process = subprocess.Popen(
            [sys.executable, "-m", "ml_assets.cli", *words],
            env={**os.environ, **dict.fromkeys(names, home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def status() -> int:
            if process.poll() is not None:
                raise Refused(f"{shlex.join(argv)}: ended with {process.returncode}")
            try:
                url = f"http://127.0.0.1:{free[str(port)]}{path}"
                with urllib.request.urlopen(url, timeout=5) as answer:
                    found: int = answer.status
                    return found
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                # It does not listen yet.
                return 0

        try:
            # Not ready is an answer; the exporter's library knows every path.
            found = await_true(status, f"{argv} answers {path}")
        finally:
            process.kill()
            process.wait()
    return found != 404 and (path == "/metrics" or "exporter" not in argv)


def _mlflow(argv: list[str], box: Box) -> Started:
    import mlflow.cli

    name, given = _parsed(mlflow.cli.cli, argv, box)
    if name != "mlflow server":
        raise Refused(f"no rule knows what {name!r} is there for")
    _reachable(argv, given["host"])
    return Started({int(given["port"]): ("http", _of_mlflow)})


def _of_mlflow(path: str) -> bool:
    from mlflow.server import app

    return bool(app.url_map.bind("mlflow").test(path, "GET"))


def _ray(argv: list[str], box: Box) -> Started:
    from ray.scripts.scripts import cli

    name, given = _parsed(cli, argv, box)
    if name != "ray start":
        raise Refused(f"no rule knows what {name!r} is there for")
    ports = {given["node_manager_port"]}
    if given["head"]:
        # What it takes where neither is named.
        ports = {given["port"] or 6379, given["ray_client_server_port"] or 10001}
    return Started({int(port): ("tcp", lambda path: False) for port in ports})


def _python(argv: list[str], box: Box) -> Started:
    words = argv[1:]
    while words and words[0] in {"-I", "-u", "-B", "-E", "-s"}:
        words = words[1:]
    if words[:1] == ["-m"]:
        if len(words) < 2 or importlib.util.find_spec(words[1]) is None:
            raise Refused(f"{shlex.join(argv)}: there is no such module")
        return Started()
    if not words or words[0].startswith("-"):
        raise Refused(f"{shlex.join(argv)}: no rule knows these options")
    script = Path(box.path(words[0]))
    if script == Path(words[0]) or not script.is_file():
        raise Refused(f"{shlex.join(argv)}: {words[0]} is not in the container")
    return _script(argv, runpy.run_path(str(script), run_name="read"), words[1:])


def _script(argv: list[str], names: dict[str, Any], words: list[str]) -> Started:
    """A script of ours takes its arguments as those of one function."""
    function = names.get("main")
    is_check = function is None and words
    if is_check:
        function, words = names.get(f"check_{words[0]}"), words[1:]
    if function is None:
        raise Refused(f"{shlex.join(argv)}: the script does not know that")
    try:
        inspect.signature(function).bind(*words)
    except TypeError as error:
        raise Refused(f"{shlex.join(argv)}: {error}") from error
    if not is_check:
        return Started()
    kind = function.__name__.removeprefix("check_")
    url = urlsplit(words[0] if kind == "http" else f"//{words[0]}")
    if url.hostname != "127.0.0.1" or url.port is None:
        raise Refused(f"{shlex.join(argv)}: it does not ask its own container")
    return Started(asks=[Ask(kind, url.port, url.path)])


def _shell(argv: list[str], box: Box) -> Started:
    shell, *words = argv
    if len(words) != 2 or words[0] != "-c":
        raise Refused(f"{shlex.join(argv)}: no rule knows these options")
    done = subprocess.run([shell, "-n", "-c", words[1]], capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"{shlex.join(argv)}: {done.stderr.strip()}")
    found = Started()
    for command in _simple_commands(words[1]):
        builtin = subprocess.run(
            [shell, "-c", 'command -v "$1"', "-", command[0]],
            capture_output=True,
            text=True,
        )
        # What the shell itself does it names without a path.
        if builtin.stdout.strip() != command[0]:
            one = started(command, box)
            found.listens |= one.listens
            found.asks += one.asks
    return found


def _simple_commands(script: str) -> Iterator[list[str]]:
    """The commands of a script; what a shell may do besides is refused."""
    if re.search(r"[$`<>(){}]", script):
        raise Refused(f"{script!r}: no rule knows such a script")
    lexer = shlex.shlex(script, posix=True, punctuation_chars=";&|\n")
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if not command and word in SHELL_WORDS:
            continue
        if set(word) <= set(";&|\n"):
            if command:
                yield command
            command = []
        else:
            command.append(word)


SHELL_WORDS = {"until", "while", "if", "then", "elif", "else", "fi", "do", "done", "!"}


def _nslookup(argv: list[str], box: Box) -> Started:
    """Our own: it must find what resolves, and must not find what does not."""
    if len(argv) != 2 or not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", argv[1]):
        raise Refused(f"{shlex.join(argv)}: expected one name")
    for name, wanted in (("localhost", True), ("nowhere.invalid", False)):
        script = str(ROOT / "docker" / "nslookup")
        done = subprocess.run(["sh", script, name], capture_output=True)
        if (done.returncode == 0) is not wanted:
            raise Refused(f"nslookup {name} ended with {done.returncode}")
    return Started()


def _sleep(argv: list[str], box: Box) -> Started:
    if len(argv) != 2 or not argv[1].isdigit():
        raise Refused(f"{shlex.join(argv)}: expected seconds")
    return Started()


def _tini(argv: list[str], box: Box) -> Started:
    if argv[1:2] != ["--"]:
        raise Refused(f"{shlex.join(argv)}: expected -- before the command")
    return started(argv[2:], box)


def _reachable(argv: list[str], host: str) -> None:
    """Probes and Services come to the address of the pod."""
    if host != "0.0.0.0":  # nosec B104 - inside a pod
        raise Refused(f"{shlex.join(argv)}: it listens on {host} only")


Rule = Callable[[list[str], Box], Started]
RULES: dict[str, Rule] = {
    "bash": _shell,
    "dagster": _dagster,
    "dagster-daemon": _daemon,
    "dagster-webserver": _webserver,
    "ml-assets": _ml_assets,
    "mlflow": _mlflow,
    "nslookup": _nslookup,
    "python": _python,
    "ray": _ray,
    "sh": _shell,
    "sleep": _sleep,
    "tini": _tini,
}
