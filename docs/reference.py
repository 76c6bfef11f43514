"""The references of the documentation, made from the code."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from prometheus_client.core import Metric

from ml_assets.cli import main
from ml_assets.components import TabularClassifier, TabularRegressor
from ml_assets.observability.exporter.exporter import Exporter
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.openapi.document import document
from ml_assets.serving.settings import ServerSettings
from ml_assets_tests.kits.app import served

PAGES = ("yaml", "commands", "metrics", "http-api", "settings")
POLL_SECONDS = 60.0
METHODS = ("get", "post", "put", "delete")


def pages() -> Iterator[tuple[str, str]]:
    """Each page's name, and its Markdown."""
    made = {
        "yaml": _yaml,
        "commands": _commands,
        "metrics": _metrics,
        "http-api": _http_api,
        "settings": _settings,
    }
    for name in PAGES:
        yield name, "\n".join([*made[name](), ""])


def _yaml() -> Iterator[str]:
    yield from ("# YAML of a model", "")
    yield (
        "Every key of the components, their types and defaults; what they mean is"
        " explained in [models](../docs/models.md)."
    )
    for kind in (TabularClassifier, TabularRegressor):
        schema = kind.model_json_schema()
        yield from ("", f"## {kind.__name__}", "")
        yield from _keys(schema)
    for name, part in schema["$defs"].items():
        yield from ("", f"## {name.removesuffix('Spec')}", "", part["description"], "")
        yield from _keys(part)


def _keys(schema: Mapping[str, Any]) -> Iterator[str]:
    yield from ("| key | type | default | meaning |", "|---|---|---|---|")
    required = schema.get("required", ())
    for name, part in schema["properties"].items():
        if name == "task":
            # Set by the component.
            continue
        default = "required" if name in required else _default(part)
        meaning = part.get("description", "")
        yield f"| `{name}` | {_type(part)} | {default} | {meaning} |"


def _default(part: Mapping[str, Any]) -> str:
    found = part.get("default")
    return "" if found in (None, "", [], {}) else f"`{found}`"


def _type(part: Mapping[str, Any]) -> str:
    """The type of a key, in words; templates of Dagster may stand for each."""
    part = part.get("else", part)
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2].removesuffix("Spec")
        return f"[{name}](#{name.lower()})"
    if "enum" in part:
        return ", ".join(f"`{item}`" for item in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    for key in ("anyOf", "oneOf"):
        if key in part:
            kinds = [_type(item) for item in part[key] if item.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if part.get("type") == "array":
        return f"list of {_type(part.get('items', {}))}"
    if part.get("type") == "object" and isinstance(
        part.get("additionalProperties"), Mapping
    ):
        return f"mapping to {_type(part['additionalProperties'])}"
    return str(part.get("type", "any"))


def _commands() -> Iterator[str]:
    yield from ("# Commands", "")
    yield from _command(main, "ml-assets", None)


def _command(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[str]:
    # Wide enough for its tables, and narrow enough to be read.
    context = click.Context(command, info_name=name, parent=parent, terminal_width=88)
    title = context.command_path
    yield from (f"## {title}", "", "```text", command.get_help(context), "```", "")
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            if found is not None:
                yield from _command(found, sub, context)


def _metrics() -> Iterator[str]:
    yield from ("# Metrics", "")
    yield (
        "Names as they are scraped; dashboards and alerts are described in"
        " [observability](../docs/observability.md)."
    )
    for title, found in (
        ("Of a model server", [*Metrics().collect()]),
        ("Of the exporter", _exported()),
    ):
        yield from (
            "",
            f"## {title}",
            "",
            "| metric | kind | meaning |",
            "|---|---|---|",
        )
        for metric in sorted(found, key=lambda item: item.name):
            total = "_total" if metric.type == "counter" else ""
            yield f"| `{metric.name}{total}` | {metric.type} | {metric.documentation} |"


def _exported() -> list[Metric]:
    """The families of an exporter of an empty installation, once all were read."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ |= {"ML_ASSETS_HOME": directory, "DAGSTER_HOME": directory}
        (Path(directory) / "dagster.yaml").touch()
        exporter = Exporter(Path(directory), seconds=POLL_SECONDS)
        exporter.start()
        try:
            deadline = time.monotonic() + POLL_SECONDS
            while not all(poller.latest for poller in exporter._pollers):
                if time.monotonic() > deadline:
                    raise TimeoutError("the exporter's sources were not all read")
                time.sleep(0.05)
            return [*exporter.collect()]
        finally:
            exporter.close()


def _http_api() -> Iterator[str]:
    yield from ("# HTTP API of the model server", "")
    yield (
        "The addresses of a server with the model `demo`; the exact schemas of your"
        " models are in `/openapi.json` and on `/docs` of your server. What they mean"
        " is explained in [serving](../docs/serving.md)."
    )
    yield from ("", "| address | what it does | answers |", "|---|---|---|")
    paths = document({"demo": served("demo")}, needs_key=True)["paths"]
    for path, item in paths.items():
        for method in filter(item.__contains__, METHODS):
            what, answers = item[method]["summary"], ", ".join(
                item[method]["responses"]
            )
            yield f"| `{method.upper()} {path}` | {what} | {answers} |"


def _settings() -> Iterator[str]:
    yield from ("# Settings of the model server", "")
    yield (
        "Each is an option of `ml-assets serve` and a variable of the environment; they"
        " are explained in [serving](../docs/serving.md#settings)."
    )
    yield from ("", "| option | variable | default |", "|---|---|---|")
    defaults = zip(
        ServerSettings.__struct_fields__,
        ServerSettings.__struct_defaults__,
        strict=True,
    )
    for name, value in defaults:
        option, variable = name.replace("_", "-"), f"ML_ASSETS_{name.upper()}"
        shown = "" if value == "" else f"`{value}`"
        yield f"| `--{option}` | `{variable}` | {shown} |"
