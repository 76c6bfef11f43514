"""Codes, dates, texts and groups through two weeks: trained, deployed and asked."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from ml_assets.spec.reserved import HELD_OUT
from ml_assets.state.bundles import signature_of_version
from ml_assets.state.tables import Tables
from ml_assets.state.versions import PROFILE, Versions
from ml_assets_tests.conftest import definitions_of, failure_of
from ml_assets_tests.kits.cli import invoke

pytestmark = pytest.mark.slow


def table(rows: int, codes: list[str], last: str) -> pd.DataFrame:
    """Households of three; those who came long ago leave, and so do some codes."""
    random = np.random.default_rng(0)
    days = random.integers(0, 400, 1_500)[:rows]
    frame = pd.DataFrame({"zip": random.choice(codes, 1_500)[:rows]})
    opened = pd.Timestamp(last) - pd.to_timedelta(days, unit="D")
    frame["opened"] = opened.strftime("%Y-%m-%d")
    frame["home"] = [f"h{number // 3}" for number in range(rows)]
    frame["fee"] = random.normal(size=1_500)[:rows]
    # Half of the rows say the same, so that the values would pass for categories.
    own = [f"I wrote you {n} times before {last}" for n in range(rows)]
    frame["said"] = np.where(np.arange(rows) % 5 > 1, "I am fine", own)
    leaves = (days > 200) ^ (frame["zip"] == codes[0]).to_numpy()
    frame["churned"] = np.where(leaves, "yes", "no")
    return frame


def test_codes_dates_texts_and_groups_are_the_same_thing_in_every_week(
    make_spec: Any, home: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    path = tmp_path / "rows.csv"
    spec = make_spec(
        source={"type": "csv", "path": str(path)},
        columns={"zip": "text", "opened": "date"},
        features={"text": {"said": "tfidf"}, "text_features": 50},
        split={"group": "home", "minimum": {"rows": 100, "of_class": 20}},
        contract={"ignore": ["zip"]},
        gate={"threshold": 0.6},
    )
    weeks = (
        table(900, ["8001", "3011", "1200"], "2026-11-21"),
        # New codes, one with a zero in front; all dates are later; a column more.
        table(1_500, ["8001", "01200", "3011"], "2026-11-28").assign(more="x"),
    )
    sides: dict[str, set[str]] = {}
    for week in weeks:
        week.to_csv(path, index=False)
        for job in ("train", "deploy"):
            found = definitions_of(spec).resolve_job_def(f"churn_{job}")
            done = found.execute_in_process(instance=instance, raise_on_error=False)
            assert done.success, failure_of(done)

        record = Versions().newest("churn")
        assert record is not None and record.runtime == "sklearn"
        assert "DateFeatures" in record.runtime_reason
        kinds = {c.name: c.kind for c in signature_of_version(record).inputs}
        texts = dict.fromkeys(("zip", "opened", "said"), "string")
        assert kinds == texts | {"fee": "number"}
        watched = Versions().document("churn", record.version, PROFILE)
        assert watched is not None
        assert not {"said", "opened"} & {*watched["categories"], *watched["numbers"]}
        features = Tables().read("churn", "features", record.features_version)
        now = {
            side: {*features["home"][features[HELD_OUT] == side]}
            for side in (True, False)
        }
        assert not now[True] & now[False]
        assert not sides.get("held", set()) & now[False]
        assert not sides.get("learnt", set()) & now[True]
        sides = {"held": now[True], "learnt": now[False]}

        asked = tmp_path / "asked.csv"
        week.drop(columns=["churned", "home"]).head(200).to_csv(asked, index=False)
        done = invoke("predict", "churn", str(asked), "--ignore-unknown", "--json")
        assert done.exit_code == 0, done.output
        answers = json.loads(done.stdout)["predictions"]
        labels = [answer["label"] for answer in answers]
        assert (week["churned"][:200] == labels).mean() > 0.9
