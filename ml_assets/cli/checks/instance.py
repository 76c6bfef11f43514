"""The Dagster instance: its home, its daemon, and what was switched off."""

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ml_assets.cli.checks import Finding, ok, warning
from ml_assets.cli.instance import dagster_home

if TYPE_CHECKING:
    from dagster import DagsterInstance

# The daemon writes a heartbeat every 30 seconds.
STALE_SECONDS = 120
START = "start one: ml-assets dev"


def check() -> Iterator[Finding]:
    """Check the instance without making one."""
    directory = dagster_home()
    if not (directory / "dagster.yaml").exists():
        message = f"{directory} has no dagster.yaml: no run was made there yet"
        yield warning("dagster home", message, "ml-assets dev prepares it")
        return
    os.environ["DAGSTER_HOME"] = str(directory)
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        yield ok("dagster home", f"{directory}")
        if instance.telemetry_enabled:
            todo = "set telemetry: {enabled: false} in its dagster.yaml"
            yield warning("telemetry", "Dagster reports usage to its makers", todo)
        yield _daemon(instance)
        yield from _switched_off(instance)


def _daemon(instance: "DagsterInstance") -> Finding:
    beats = instance.get_daemon_heartbeats()
    ages = [time.time() - beat.timestamp for beat in beats.values()]
    if not ages:
        message = "no daemon ever ran: schedules and sensors rest"
        return warning("daemon", message, START)
    if min(ages) > STALE_SECONDS:
        minutes = min(ages) / 60
        message = f"the last sign of life of a daemon is {minutes:,.0f} min old"
        return warning("daemon", message, START)
    errors = [str(e.message) for b in beats.values() for e in b.errors or []]
    if errors:
        message = f"the daemon runs and reports: {errors[0].strip()}"
        return warning("daemon", message, "see the daemon's log")
    return ok("daemon", f"ran {min(ages):.0f} s ago")


def _switched_off(instance: "DagsterInstance") -> Iterator[Finding]:
    """Schedules and sensors run by default; these were stopped by somebody."""
    stopped = [
        state.name
        for state in instance.all_instigator_state()
        if state.status.value == "STOPPED"
    ]
    if stopped:
        message = f"switched off: {', '.join(sorted(stopped))}"
        yield warning("automation", message, "switch them on in the UI, Automation")
    else:
        yield ok("automation", "no schedule and no sensor is switched off")
