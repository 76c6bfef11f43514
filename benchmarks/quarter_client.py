"""The clients of a model in `benchmarks.quarter`, answered as a server answers them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from ml_assets.records.plan import Label, ServingPlan
from ml_assets.serving.log.log_records import LabelRecord, encode, now
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.bundle import load_runtime
from ml_assets.serving.models.ids import PredictionIds

Row = dict[str, Any]


class Answered(NamedTuple):
    """The record of one prediction, and the decision or value in it."""

    record: msgspec.Struct
    id: str
    label: Label


class Client:
    """Requests to the version that serves, and the records that its server logs."""

    def __init__(self, home: Path, model: str, plan: ServingPlan) -> None:
        runtime = load_runtime(home / plan.live.bundle, plan.live.files)
        self.arm = ServedArm(model, plan.live, runtime, 1_000, PredictionIds())
        self.plan = plan
        self._segments = home / "segments" / model

    def requests(self, rows: pd.DataFrame) -> list[Row]:
        """Rows as its clients send them.

        They send a new column once it is known, and one that the source has lost for as
        long as it is read.
        """
        known = {column.name for column in self.arm.signature.columns}
        if "legacy" in known and "legacy" not in rows:
            rows = rows.assign(legacy=np.resize(["a", "b"], len(rows)))
        found = rows[[name for name in rows.columns if name in known]]
        return [
            {
                key: None if isinstance(value, float) and np.isnan(value) else value
                for key, value in row.items()
            }
            for row in found.to_dict("records")
        ]

    def answer(self, row: Row) -> Answered:
        """Answer one row.

        Raises
        ------
        Problem
            If it is refused.
        """
        body = json.dumps({"rows": [row]}).encode()
        scored = self.arm.score(self.arm.decoder.decode(body), "")
        assert scored.batch.row is not None
        task = self.arm.task
        head = (
            *(scored.ids[0], now(), "request", self.arm.model, self.arm.version),
            *("live", self.plan.generation, None, msgspec.UNSET),
            self.arm.values(scored.batch.row),
        )
        record = task.record(head, scored.answers[0], 180)
        return Answered(record, scored.ids[0], task.labels(scored.answers)[0])

    def ship(self, name: str, records: Sequence[msgspec.Struct]) -> None:
        """Log predictions, or labels where `name` ends in ``.labels``."""
        self._segments.mkdir(parents=True, exist_ok=True)
        (self._segments / f"{name}.jsonl").write_bytes(encode(records))


def feedback(answered: Answered, truth: Any) -> LabelRecord:
    """What turned out for a prediction."""
    label = truth.item() if hasattr(truth, "item") else truth
    return LabelRecord(answered.id, None, None, label, now())
