"""Thirteen weeks of three models, and what the platform decides in them by itself.

    python -m benchmarks.quarter
    python -m benchmarks.quarter --faults

Each week new rows arrive, the weekly training runs, the gate's sensor deploys what
passes, clients send the week's rows (and a few of them again and again), labels come
in, and the monitor job looks. Jobs and sensors are the platform's own, in this process;
the clock is moved by libfaketime, which is Debian's package faketime. Ordinary life is
in the tables: ids and dates grow, a rare category comes and goes, classes are nearly
balanced, fees are whole for weeks, a constant begins to vary, one column is added and
one is dropped, which the operator accepts. With ``--faults`` five real faults are put
in, and the last column says who saw each.
"""

import argparse
import datetime as dt
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.moved_clock import Clock, in_moved_time
from benchmarks.quarter_rows import FAULTS, START, drawn

WEEKS, NEW_ROWS, FIRST_ROWS, REQUESTS = 13, 250, 1_500, 300
OTHER = {"yes": "no", "no": "yes"}


class Life:
    """One model over the weeks, and what was decided for it."""

    def __init__(self, name: str, home: Path, faults: bool) -> None:
        import dagster as dg

        from ml_assets.automation import gate_sensor
        from ml_assets.automation_monitor import drift_sensor
        from ml_assets.components import TabularClassifier
        from ml_assets_tests.conftest import definitions_of

        self.name, self.home = name, home
        self.faults = {week: text for (n, week), text in FAULTS.items() if n == name}
        if not faults:
            self.faults = {}
        self.path = home / f"{name}.csv"
        self.spec = TabularClassifier.model_validate(
            {
                "name": name,
                "source": {"type": "csv", "path": str(self.path)},
                "target": "bought",
                "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
                "gate": {"threshold": 0.7},
                "monitoring": {"window_hours": 48},
            }
        )
        self.definitions = definitions_of(self.spec)
        self.instance = dg.DagsterInstance.ephemeral()
        self.gate = gate_sensor(
            self.spec, self.definitions.resolve_job_def(f"{name}_deploy")
        )
        self.drift = drift_sensor(self.spec)
        self.cursors: dict[str, str | None] = {"gate": None, "drift": None}
        self.rows = pd.DataFrame()
        self.first: list[dict[str, Any]] = []
        self.meant: list[bool] = []
        self.told: list[str] = []

    def run(self, job: str, ops: Any = None, tags: Any = None) -> Any:
        """A run of a job; failures are returned."""
        return self.definitions.resolve_job_def(
            f"{self.name}_{job}"
        ).execute_in_process(
            instance=self.instance,
            run_config=ops or {},
            tags=tags or {},
            raise_on_error=False,
        )

    def ticks(self, which: str) -> list[Any]:
        """What a sensor asks for now."""
        import dagster as dg

        sensor = {"gate": self.gate, "drift": self.drift}[which]
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors[which]
        ) as context:
            found = sensor.evaluate_tick(context)
        self.cursors[which] = found.cursor or self.cursors[which]
        return list(found.run_requests or [])

    def arrives(self, week: int) -> None:
        """The source as it is on this Sunday: every row so far."""
        new = drawn(self.name, week, NEW_ROWS if week > 1 else FIRST_ROWS)
        self.rows = pd.concat([self.rows, new], ignore_index=True)
        table, fault = self.rows.copy(), self.faults.get(week, "")
        if self.name == "visits" and week >= 9:
            table = table.drop(columns="legacy")
        if "turned" in fault:
            table["bought"] = table["bought"].map(OTHER)
        if "loses" in fault:
            table.loc[table.index % 10 > 0, "spend"] = np.nan
        if "half" in fault:
            table = table[: len(table) * 2 // 5]
        table.to_csv(self.path, index=False)

    def trains(self, week: int) -> str:
        """Sunday's run, and what the gate's sensor makes of it."""
        from ml_assets.contracts import accept, blocked
        from ml_assets.versions import VersionStore
        from ml_assets_tests.conftest import failure_of

        store = VersionStore(self.home)
        before = store.names(self.name)
        done = self.run("train")
        waits = blocked(self.name)
        if not done.success and waits is not None:
            self.told.append(f"week {week}: contract: {waits.moved[0]}")
            if self.faults.get(week):
                return "stopped by the contract"
            accept(self.name, "operator", "the source has changed on purpose")
            done = self.run("train")
        if not done.success:
            self.told.append(f"week {week}: {failure_of(done)[:200]}")
            return "failed"
        if store.names(self.name) == before:
            return "nothing new"
        request = [*self.ticks("gate")]
        for item in request:
            deployed = self.run("deploy", item.run_config, item.tags)
            if not deployed.success:
                self.told.append(f"week {week}: {failure_of(deployed)[:200]}")
                return "deployment failed"
        if request:
            return "promoted"
        version = store.names(self.name)[-1]
        gate = (store.evaluation(self.name, version) or {})["gate"]
        self.told.append(f"week {week}: gate: {gate['reason'][:160]}")
        return "kept the champion"

    def serves(self, week: int, clock: Clock, moment: dt.datetime) -> str:
        """Monday's requests in the form of week one and of today, and their labels."""
        from ml_assets.serving.bundle import load_runtime
        from ml_assets.serving.problems import Problem
        from ml_assets.serving.request import RowDecoder
        from ml_assets.serving.runtime.protocol import Refused
        from ml_assets.serving.store import PlanStore
        from ml_assets_tests.log_kit import line, truth

        plan = PlanStore(self.home).current(self.name)
        if plan is None:
            return "no version"
        runtime = load_runtime(self.home / plan.live.bundle, plan.live.files)
        decoder = RowDecoder(runtime.signature, 1_000)
        today = drawn(self.name, week, REQUESTS)
        if "cents" in self.faults.get(week, ""):
            today["fee"] *= 100
        answers = today.pop("bought")
        if "changed" in self.faults.get(week, ""):
            answers = answers.map(OTHER)
        # Clients write for the version that answers them: they send a new column once
        # it is known, and one that the source has lost for as long as it is read.
        known = {column.name for column in runtime.signature.columns}
        if "legacy" in known and "legacy" not in today:
            today["legacy"] = np.resize(["a", "b"], len(today))
        today = today[[name for name in today.columns if name in known]]
        requests = [_plain(row) for row in today.to_dict("records")]
        if week == 1:
            self.first = requests[:50]
        refused, lines, labels = 0, [], []

        def answer(row: dict[str, Any]) -> tuple[list[Any], float]:
            batch = decoder.decode(json.dumps({"rows": [row]}).encode())
            return list(batch.row), float(runtime.predict_one(batch.row))

        for at, row in enumerate([*requests, *requests[:3] * 10]):
            number = at if at < len(requests) else (at - len(requests)) % 3
            try:
                values, p = answer(row)
            except (Problem, Refused) as error:
                refused += 1
                self.told.append(f"week {week}: a request was refused: {error}")
                continue
            label = (
                runtime.signature.positive if p > 0.5 else runtime.signature.negative
            )
            item = line(
                moment.timestamp() + at,
                at,
                model=self.name,
                version=plan.live.version,
                generation=plan.generation,
                x=values,
                p=p,
                label=label,
            )
            lines.append(item)
            if at < len(requests):
                labels.append(
                    truth(item["id"], answers.iloc[number], moment.timestamp() + 3_600)
                )
        self._ship(f"s-{week:08}", lines)
        clock.set(moment + dt.timedelta(hours=2))
        self._ship(f"s-{week:08}.labels", labels)
        meant = []
        for row in self.first:
            try:
                meant.append(answer(row)[1] > 0.5)
            except (Problem, Refused) as error:
                refused += 1
                self.told.append(f"week {week}: of week one: {error}")
        if week == 1:
            self.meant = meant
        same = sum(a == b for a, b in zip(meant, self.meant))
        return f"{refused} refused, {same}/{len(self.first)} of week one the same"

    def _ship(self, name: str, lines: list[dict[str, Any]]) -> None:
        path = self.home / "segments" / self.name / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(item) + "\n" for item in lines))

    def watches(self, week: int) -> str:
        """The monitor job, and what the drift sensor makes of it."""
        done = self.run("monitor")
        found = []
        for check in done.get_asset_check_evaluations():
            if not check.passed:
                found.append(check.check_name)
                self.told.append(
                    f"week {week}: {check.check_name}: {str(check.description)[:160]}"
                )
        if not done.success:
            found.append("failed")
        asked = self.ticks("drift")
        return ", ".join(found + ["training asked for"] * bool(asked)) or "quiet"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON has it."""
    return {
        key: None if isinstance(value, float) and np.isnan(value) else value
        for key, value in row.items()
    }


def weeks(clock: Clock, faults: bool) -> Iterator[tuple[int, Life, str, str, str]]:
    """Every week of every model."""
    home = Path(os.environ["ML_ASSETS_HOME"])
    home.mkdir(parents=True)
    lives = [Life(name, home, faults) for name in ("basket", "visits", "fees")]
    for week in range(1, WEEKS + 1):
        sunday = START + dt.timedelta(days=7 * (week - 1))
        for number, life in enumerate(lives):
            clock.set(sunday + dt.timedelta(minutes=10 * number))
            life.arrives(week)
            trained = life.trains(week)
            monday = sunday + dt.timedelta(hours=34, minutes=10 * number)
            clock.set(monday)
            served = life.serves(week, clock, monday)
            clock.set(monday + dt.timedelta(hours=3))
            yield week, life, trained, served, life.watches(week)


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each week and model, and then what was told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", action="store_true", help="put five faults in")
    options = parser.parse_args(arguments)
    clock = Clock.of_this_process()
    if clock is None:
        return in_moved_time("benchmarks.quarter", sys.argv[1:], START)
    logging.disable(logging.CRITICAL)
    notes = []
    print("| week | model | training | requests | monitor | put in |")
    print("|---|---|---|---|---|---|")
    for week, life, *found in weeks(clock, options.faults):
        fault = life.faults.get(week, "")
        print(f"| {week} | {life.name} | {' | '.join(found)} | {fault} |", flush=True)
        notes += [f"- {life.name}, {text}" for text in life.told]
        life.told.clear()
    print("\n" + "\n".join(notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
