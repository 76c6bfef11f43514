"""What Elasticsearch would make of a log line, by the template that we ship."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ELASTIC = Path(__file__).parents[2] / "observability" / "elastic"
TEMPLATE = json.loads((ELASTIC / "index-template.json").read_text())
MAPPINGS = TEMPLATE["template"]["mappings"]
TYPES = {
    "date": str,
    "double": float,
    "keyword": str,
    "long": int,
    "match_only_text": str,
    "wildcard": str,
}


def type_of(field: str, value: Any) -> str | None:
    """The type that a dotted field is mapped to; None where it is not."""
    part: Any = MAPPINGS
    for name in field.split("."):
        part = part.get("properties", {}).get(name)
        if part is None:
            return _dynamic(field, value)
    kind = part.get("type")
    return None if kind is None else str(kind)


def _dynamic(field: str, value: Any) -> str | None:
    names = {str: "string", int: "long", float: "double"}
    for template in MAPPINGS["dynamic_templates"]:
        ((_, rule),) = template.items()
        stem = rule["path_match"].removesuffix("*")
        if field.startswith(stem) and rule["match_mapping_type"] == names[type(value)]:
            return str(rule["mapping"]["type"])
    return None


def unmapped(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Fields of `lines` that nobody could search, or whose values do not fit."""
    found = set()
    for line in lines:
        for field, given in line.items():
            for value in given if isinstance(given, list) else [given]:
                kind = type_of(field, value)
                if kind is None or not isinstance(value, TYPES[kind]):
                    found.add(f"{field}: {value!r} as {kind}")
    return sorted(found)
