"""Thirteen weeks of five models, and what the platform decides in them by itself.

    python -m benchmarks.quarter
    python -m benchmarks.quarter --faults

Each week new rows arrive, the weekly schedule trains, the gate's sensor deploys what
passes, clients send the week's rows (and a few of them again and again), labels come
in, and the hourly schedule evaluates them. A real Dagster daemon does all of it, in
processes whose clock is moved by libfaketime, which is Debian's package faketime.
Three models have two classes, one has four, and one predicts a number.
Ordinary life is in the tables: ids and dates grow, a rare category comes and goes,
classes are nearly balanced, one class wanes, fees are whole for weeks, a constant
begins to vary, columns are added and one is dropped, which the operator accepts, and
the source is overloaded at the first request of each week. With ``--faults`` real
faults are put in, and the last column says which.
"""

import argparse
import datetime as dt
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd

from benchmarks.moved_clock import Clock, in_moved_time
from benchmarks.quarter_client import Client, Row, feedback
from benchmarks.quarter_daemon import Daemon, running
from benchmarks.quarter_export import Export, exporting
from benchmarks.quarter_rows import (
    CENTS,
    CHANGED,
    EUROS,
    FAULTS,
    HALF,
    LOST,
    MODELS,
    OUTCOME,
    START,
    TURNED,
    drawn,
    turned,
)
from ml_assets.assets.training import DRIFT
from ml_assets.automation.jobs import QUARTER
from ml_assets.records.plan import Label
from ml_assets.serving.requests.problems import Problem
from ml_assets.state.plans import Plans

WEEKS, NEW_ROWS, FIRST_ROWS, REQUESTS = 13, 250, 1_500, 300


class Life:
    """One model over the weeks, and what was decided for it."""

    def __init__(self, name: str, home: Path, daemon: Daemon, faults: bool) -> None:
        self.name, self.home, self.daemon = name, home, daemon
        self.faults = FAULTS[name] if faults else {}
        self.rows = pd.DataFrame()
        self.first: list[Row] = []
        self.decisions: list[Label] = []
        self.findings: list[str] = []

    def arrives(self, week: int, export: Export) -> None:
        """The source as it is on this Sunday: every row so far."""
        new = drawn(self.name, week, NEW_ROWS if week > 1 else FIRST_ROWS)
        self.rows = pd.concat([self.rows, new], ignore_index=True)
        table, fault = self.rows.copy(), self.faults.get(week)
        if self.name == "visits" and week >= 9:
            table = table.drop(columns="legacy")
        if fault == TURNED:
            table[OUTCOME] = turned(table[OUTCOME])
        if fault == LOST:
            table.loc[table.index % 10 > 0, "spend"] = np.nan
        if fault == HALF:
            table = table[: len(table) * 2 // 5]
        export.write(self.name, table)

    def trains(self, week: int, due: dt.datetime) -> bool:
        """Await Sunday's run; the operator accepts what has changed on purpose."""
        from ml_assets.state.contracts import accept, blocked

        run = self.daemon.await_tick(f"{self.name}_schedule", due)
        if run is None:
            self.findings.append(f"week {week}: the schedule skipped")
            return False
        waits = blocked(self.name)
        if not run.is_success and waits is not None and self.faults.get(week):
            self.findings.append(f"week {week}: contract: {waits.moved[0]}")
        elif not run.is_success and waits is not None:
            self.findings.append(f"week {week}: accepted: {waits.moved[0]}")
            accept(self.name, "operator", "the source has changed on purpose")
            return self._trains_once_more(week)
        elif not run.is_success:
            self._note_failure(week, run.run_id)
        return run.is_success

    def _trains_once_more(self, week: int) -> bool:
        """As ``ml-assets train`` does, in this process."""
        from benchmarks.quarter_location import defs

        done = (
            defs()
            .resolve_job_def(f"{self.name}_train")
            .execute_in_process(instance=self.daemon.instance, raise_on_error=False)
        )
        if not done.success:
            self._note_failure(week, done.run_id)
        return done.success

    def _note_failure(self, week: int, run_id: str) -> None:
        from ml_assets.cli.run_report import failure

        events = self.daemon.events(run_id, dg.DagsterEventType.STEP_FAILURE)
        reason = "; ".join(failure(event) for event in events) or "the run failed"
        self.findings.append(f"week {week}: {reason[:200]}")

    def decided(self, week: int, due: dt.datetime, trained: bool) -> str:
        """What became of Sunday's version."""
        from ml_assets.state.versions import Versions

        store = Versions()
        if not trained:
            return "stopped by the contract" if self.faults.get(week) else "failed"
        moment = due.strftime("%Y%m%dT%H%M%SZ")
        version = next((n for n in store.names(self.name) if n >= moment), None)
        if version is None:
            return "nothing new"
        deployments = self.daemon.runs(f"{self.name}_deploy", due)
        for run in deployments:
            if not run.is_success:
                self._note_failure(week, run.run_id)
        plan = Plans().current(self.name)
        if plan is not None and plan.live.version == version:
            return "promoted"
        gate = (store.evaluation(self.name, version) or {})["gate"]
        self.findings.append(f"week {week}: gate: {gate['reason'][:160]}")
        return "kept the champion"

    def serves(self, week: int, clock: Clock, moment: dt.datetime) -> str:
        """Monday's requests in the form of week one and of today, and their labels."""
        plan = Plans().current(self.name)
        if plan is None:
            return "no version"
        client = Client(self.home, self.name, plan)
        today = drawn(self.name, week, REQUESTS)
        if self.faults.get(week) == CENTS:
            today[EUROS[self.name]] *= 100
        truths = today.pop(OUTCOME)
        if self.faults.get(week) == CHANGED:
            truths = turned(truths)
        requests = client.requests(today)
        if week == 1:
            self.first = requests[:50]
        refused, records, labels = 0, [], []
        for at, row in enumerate([*requests, *requests[:3] * 10]):
            try:
                answered = client.answer(row)
            except Problem as problem:
                refused += 1
                self._refused(week, "a request", problem)
                continue
            records.append(answered.record)
            if at < len(requests):
                labels.append((answered, truths.iloc[at]))
        client.ship(f"s-{week:08}", records)
        clock.set(moment + dt.timedelta(hours=2))
        client.ship(f"s-{week:08}.labels", [feedback(*pair) for pair in labels])
        decisions: list[Label] = []
        for row in self.first:
            try:
                decisions.append(client.answer(row).label)
            except Problem as problem:
                refused += 1
                self._refused(week, "one of week one", problem)
        if week == 1:
            self.decisions = decisions
        same = sum(map(_is_same, decisions, self.decisions))
        return f"{refused} refused, {same}/{len(self.first)} of week one the same"

    def _refused(self, week: int, what: str, problem: Problem) -> None:
        self.findings.append(f"week {week}: {what} was refused: {problem}")

    def watches(self, week: int, hour: dt.datetime) -> None:
        """Await the hourly look, whose minute is the model's own."""
        run = self.daemon.await_tick(f"{self.name}_monitor_schedule", hour)
        if run is not None and not run.is_success:
            self._note_failure(week, run.run_id)

    def seen(self, week: int, since: dt.datetime) -> str:
        """What was found, and whether a training was asked for."""
        found = []
        for run in self.daemon.runs(f"{self.name}_monitor", since):
            kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
            for event in self.daemon.events(run.run_id, kind):
                check = event.asset_check_evaluation_data
                if not check.passed:
                    found.append(check.check_name)
                    said = str(check.description)[:160]
                    self.findings.append(f"week {week}: {check.check_name}: {said}")
            found += ["failed"] * (not run.is_success)
        if any(DRIFT in r.tags for r in self.daemon.runs(f"{self.name}_train", since)):
            found.append("training asked for")
        return ", ".join(sorted({*found})) or "quiet"


def _is_same(one: Label, other: Label) -> bool:
    """Whether two decisions are equal, and two values nearly so."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < 5
    return one == other


def weeks(clock: Clock, faults: bool) -> Iterator[tuple[int, Life, str, str, str]]:
    """Every week of every model."""
    home = Path(os.environ["ML_ASSETS_HOME"])
    home.mkdir(parents=True)
    with exporting(home) as export, running() as daemon:
        lives = [Life(name, home, daemon, faults) for name in MODELS]
        for week in range(1, WEEKS + 1):
            sunday = START + dt.timedelta(days=7 * (week - 1))
            for life in lives:
                life.arrives(week, export)
            clock.set(sunday - dt.timedelta(seconds=1))
            trained = [life.trains(week, sunday) for life in lives]
            daemon.settle()
            decided = [
                life.decided(week, sunday, is_trained)
                for life, is_trained in zip(lives, trained, strict=True)
            ]
            # Not at a minute at which the hourly evaluations are due.
            monday = sunday + dt.timedelta(hours=34, minutes=20)
            clock.set(monday)
            served = [life.serves(week, clock, monday) for life in lives]
            # Of the evaluations of an hour, those that also compare the source.
            hour = sunday + dt.timedelta(hours=37)
            clock.set(hour + dt.timedelta(minutes=QUARTER, seconds=-5))
            for life in lives:
                life.watches(week, hour)
            daemon.settle()
            seen = [life.seen(week, sunday) for life in lives]
            yield from zip([week] * len(lives), lives, decided, served, seen)


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each week and model, and then what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", action="store_true", help="put faults in")
    options = parser.parse_args(arguments)
    clock = Clock.of_this_process()
    if clock is None:
        return in_moved_time(
            "benchmarks.quarter", sys.argv[1:], START - dt.timedelta(hours=1)
        )
    logging.disable(logging.CRITICAL)
    notes = []
    print("| week | model | training | requests | monitor | put in |")
    print("|---|---|---|---|---|---|")
    for week, life, *found in weeks(clock, options.faults):
        fault = life.faults.get(week, "")
        print(f"| {week} | {life.name} | {' | '.join(found)} | {fault} |", flush=True)
        notes += [f"- {life.name}, {text}" for text in life.findings]
        life.findings.clear()
    print("\n" + "\n".join(notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
