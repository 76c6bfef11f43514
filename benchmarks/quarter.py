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
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

WEEKS, NEW_ROWS, FIRST_ROWS, REQUESTS = 13, 250, 1_500, 300
START = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)
LIBRARIES = "/usr/lib/*/faketime/libfaketimeMT.so.1"
# Week, and what is put into that week's rows; who is to see it.
FAULTS = {
    ("fees", 5): "cents instead of euros in requests",
    ("fees", 9): "half of the export is missing",
    ("visits", 4): "the outcome is turned round in the table",
    ("visits", 8): "a column loses most of its values",
    ("basket", 7): "what customers do has changed",
}


class Clock:
    """The moved clock of this process; it runs on from where it was set."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def set(self, moment: dt.datetime) -> None:
        """Go to a moment, which is never before the last one."""
        self.path.write_text(moment.strftime("@%Y-%m-%d %H:%M:%S"))
        os.utime(self.path)


def in_moved_time(arguments: list[str]) -> int:
    """Run this module again in a process whose clock can be moved."""
    found = sorted(Path("/").glob(LIBRARIES.lstrip("/")))
    if not found:
        raise SystemExit("libfaketime is missing: install the package faketime")
    with tempfile.TemporaryDirectory() as directory:
        clock = Path(directory, "clock")
        Clock(clock).set(START)
        environment = {
            **os.environ,
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            # Waits and timeouts take as long as ever.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
            "ML_ASSETS_HOME": str(Path(directory, "home")),
            "QUARTER_CLOCK": str(clock),
        }
        command = [sys.executable, "-m", "benchmarks.quarter", *arguments]
        return subprocess.run(command, env=environment, check=False).returncode


def drawn(name: str, week: int, rows: int, turned: bool = False) -> pd.DataFrame:
    """New rows of a week, as the source has them then."""
    random = np.random.default_rng([week, rows, *name.encode()])
    age = random.integers(18, 80, rows)
    spend = random.gamma(2.0, 30.0, rows).round(2)
    days = START.date() + dt.timedelta(days=7 * (week - 1))
    frame = pd.DataFrame(
        {
            "customer": [f"{name[0].upper()}{week:02}{at:06}" for at in range(rows)],
            "day": [
                str(days + dt.timedelta(days=int(d)))
                for d in random.integers(0, 7, rows)
            ],
            "age": age,
            "spend": spend,
            "region": random.choice(
                ["north", "south", "west"], rows, p=[0.5, 0.3, 0.2]
            ),
        }
    )
    score = (age - 49) / 12 + (spend - 60) / 40 + random.normal(0, 0.6, rows)
    if name == "basket":
        # 47 % say yes in one week and 53 % in the next; a channel comes and goes.
        frame["channel"] = random.choice(["web", "shop"], rows)
        if week in (3, 7, 8, 12):
            frame.loc[random.integers(0, rows, 2), "channel"] = "fax"
        cut = np.quantile(score, 0.53 if week % 2 else 0.47)
    elif name == "visits":
        frame["country"] = "NL"
        if week >= 7:
            frame["country"] = random.choice(["NL", "BE"], rows, p=[0.7, 0.3])
        if week >= 5:
            frame["visits"] = random.poisson(3, rows)
        if week < 9:
            frame["legacy"] = random.choice(["a", "b"], rows)
        cut = np.quantile(score, 0.7)
    else:
        # Half euros in some weeks only; some weeks have no missing fee.
        halves = week in (1, 2, 11)
        whole = random.integers(1, 20, rows)
        frame["fee"] = whole + random.integers(0, 2, rows) / 2 if halves else whole
        if week % 3 == 1:
            frame.loc[random.random(rows) < 0.03, "fee"] = np.nan
        cut = np.quantile(score, 0.6)
    outcome = (score > cut) != turned
    return frame.assign(bought=np.where(outcome, "yes", "no"))


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
        """The source as it is on this Sunday: what was kept of eight weeks."""
        fault = self.faults.get(week, "")
        new = drawn(
            self.name, week, NEW_ROWS if week > 1 else FIRST_ROWS, "turned" in fault
        )
        if "loses" in fault:
            new.loc[new.index % 10 > 0, "spend"] = np.nan
        table = pd.concat([self.rows, new], ignore_index=True)
        if self.name == "visits" and week >= 9:
            table = table.drop(columns="legacy", errors="ignore")
        if "turned" in fault:
            flip = {"yes": "no", "no": "yes"}
            table["bought"] = table["bought"].map(flip)
        if "loses" in fault:
            table.loc[table.index % 10 > 0, "spend"] = np.nan
        kept = table[: len(table) * 2 // 5] if "half" in fault else table
        kept.to_csv(self.path, index=False)
        good = drawn(self.name, week, NEW_ROWS if week > 1 else FIRST_ROWS)
        self.rows = pd.concat([self.rows, good], ignore_index=True)

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
            answers = answers.map({"yes": "no", "no": "yes"})
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


def weeks(faults: bool) -> Iterator[tuple[int, Life, str, str, str]]:
    """Every week of every model."""
    home = Path(os.environ["ML_ASSETS_HOME"])
    home.mkdir(parents=True)
    clock = Clock(Path(os.environ["QUARTER_CLOCK"]))
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
    if "QUARTER_CLOCK" not in os.environ:
        return in_moved_time(sys.argv[1:])
    logging.disable(logging.CRITICAL)
    # With a moved clock, libfaketime refuses the absolute sleeps of Python.
    time.sleep = lambda seconds: select.select([], [], [], seconds) and None
    notes = []
    print("| week | model | training | requests | monitor | put in |")
    print("|---|---|---|---|---|---|")
    for week, life, *found in weeks(options.faults):
        fault = life.faults.get(week, "")
        print(f"| {week} | {life.name} | {' | '.join(found)} | {fault} |", flush=True)
        notes += [f"- {life.name}, {text}" for text in life.told]
        life.told.clear()
    print("\n" + "\n".join(notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
