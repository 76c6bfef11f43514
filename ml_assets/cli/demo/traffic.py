"""Live traffic of the second model: requests, labels, and what servers ship of them."""

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ml_assets.cli.client import ServerClient
from ml_assets.cli.demo.churn import MODEL, TARGET
from ml_assets.cli.output import Failed
from ml_assets.cli.processes import Children
from ml_assets.core.storage import storage
from ml_assets.prediction_log.segments import Kind, parse, waiting

if TYPE_CHECKING:
    import pandas as pd

SHIP_SECONDS = 60.0


class Sent(NamedTuple):
    """Answered requests: ids, entities and what turns out later, row by row."""

    ids: list[str]
    entities: list[str]
    truths: list[str]
    requests: int
    seconds: float

    @property
    def sentence(self) -> str:
        """How much was asked."""
        return (
            f"{len(self.ids):,} customers in {self.requests:,} requests,"
            f" answered in {self.seconds:.1f} s"
        )


class Traffic:
    """Asks the server at `url`, and waits for what it logs.

    Parameters
    ----------
    url : str
    children : Children
        Of which none may end meanwhile.
    """

    def __init__(self, client: ServerClient, children: Children) -> None:
        self._client = client
        self._children = children
        self._customers = 0

    def send(self, frame: "pd.DataFrame", rows_each: int, arms: int = 1) -> Sent:
        """Ask for the rows of `frame`, and wait until the log of them is shipped.

        Parameters
        ----------
        frame : DataFrame
            With the target, which is not sent.
        rows_each : int
            Of one request.
        arms : int
            That log each row.
        """
        rows = json.loads(frame.drop(columns=TARGET).to_json(orient="records"))
        first = self._customers
        self._customers += len(rows)
        entities = [f"customer-{first + number:05d}" for number in range(len(rows))]
        ids: list[str] = []
        started = time.monotonic()
        for at in range(0, len(rows), rows_each):
            part = slice(at, at + rows_each)
            body = {"rows": rows[part], "entities": entities[part]}
            answer = self._post(f"/models/{MODEL}/predict", body, 200)
            ids += [item["id"] for item in answer["predictions"]]
        seconds = time.monotonic() - started
        self._await_shipped("predictions", arms * len(rows))
        requests = -(-len(rows) // rows_each)
        truths = frame[TARGET].astype(str).tolist()
        return Sent(ids, entities, truths, requests, seconds)

    def label(self, sent: Sent, part: slice, by_id: bool = True) -> int:
        """Send the labels of some rows; how many the server accepted."""
        rows = zip(sent.ids[part], sent.entities[part], sent.truths[part], strict=True)
        now = time.time()
        labels: list[dict[str, Any]] = [
            (
                {"id": i, "label": label}
                if by_id
                else {"entity": entity, "time": now, "label": label}
            )
            for i, entity, label in rows
        ]
        answer = self._post("/feedback", {"model": MODEL, "labels": labels}, 202)
        accepted = int(answer["accepted"])
        if accepted != len(labels):
            raise Failed(f"of {len(labels)} labels the server accepted {accepted}")
        return accepted

    def await_labels(self, count: int) -> None:
        """Wait until `count` labels are shipped."""
        self._await_shipped("labels", count)

    def _post(self, path: str, body: dict[str, Any], expected: int) -> Any:
        answer = self._client.post(path, msgspec.json.encode(body))
        if answer.status != expected:
            raise Failed(
                f"POST {path} was answered with {answer.status}, expected {expected}:"
                f" {answer.value}"
            )
        return answer.value

    def _await_shipped(self, kind: Kind, lines: int) -> None:
        what = f"the log of {lines:,} {kind}"
        self._children.wait_for(
            lambda: _shipped(kind) >= lines or None, what, SHIP_SECONDS
        )


def _shipped(kind: Kind) -> int:
    """Predictions or labels in the segments that wait to be compacted."""
    store = storage()
    segments = (store.get(info.name) for info in waiting(store, MODEL, kind))
    found = parse((content for content in segments if content is not None), kind)
    return sum(map(len, found.by_day.values()))
