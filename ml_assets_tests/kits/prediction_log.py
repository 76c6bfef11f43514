"""Segments as a server would have shipped them."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ml_assets.core.storage import storage
from ml_assets.prediction_log.segments import predictions_in

# What each row of an answer has of its own, and how the answer calls all of them.
PARTS = {"id": "ids", "entity": "entities", "x": "x", "p": "p", "label": "labels"}
NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z


def prediction_id(moment: float, number: int) -> str:
    """A UUIDv7 of that time, which sorts by `number` within its millisecond."""
    head = f"{int(moment * 1000):012x}"
    counter = f"{0x8000 + number % 0x4000:04x}"
    return f"{head[:8]}-{head[8:]}-7000-{counter}-{os.urandom(6).hex()}"


def line(moment: float, number: int, **given: Any) -> dict[str, Any]:
    """One logged prediction; keywords replace its parts."""
    return {
        "id": prediction_id(moment, number),
        "time": moment,
        "request": f"request-{number}",
        "model": "churn",
        "version": "v1",
        "arm": "live",
        "generation": 1,
        "entity": None,
        "x": [1.5, "a", None],
        "p": 0.75,
        "label": "yes",
        "us": 180,
    } | given


def together(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The line of one answer that holds these predictions."""
    one = {key: value for key, value in lines[0].items() if key not in PARTS}
    parts = {name: [item[key] for item in lines] for key, name in PARTS.items()}
    # The first key distinguishes it, in what the server writes too.
    return {"ids": parts.pop("ids"), **one, **parts, "labels": ["no", "yes"]}


def logged(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The predictions in some segments, each with the values of its row."""
    lines = [line for path in paths for line in path.read_bytes().splitlines()]
    found = [item for line in lines for item in predictions_in(line)]
    return [
        msgspec.structs.asdict(item) | {"x": json.loads(bytes(item.x))}
        for item in found
    ]


def ship(root: Path, lines: Sequence[dict[str, Any]], name: str = "s-00000000") -> Path:
    """Write a segment of predictions, or of labels where `name` ends in ``.labels``."""
    path = root / "segments" / "churn" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in lines))
    return path


def send(lines: Sequence[dict[str, Any]], name: str) -> str:
    """Ship a segment to whatever the storage is; the name of its object."""
    content = "".join(json.dumps(item) + "\n" for item in lines)
    found = f"segments/churn/{name}.jsonl"
    assert storage().create(found, content.encode())
    return found


def truth(prediction: str, label: Any, received: float) -> dict[str, Any]:
    """One label of a prediction."""
    return {
        "id": prediction,
        "entity": None,
        "time": None,
        "label": label,
        "received": received,
    }
