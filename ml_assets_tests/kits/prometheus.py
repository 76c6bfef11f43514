"""A real Prometheus (Debian's packages) that scrapes what a test started."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = ROOT / "helm" / "ml-assets" / "files"
RULES = FILES / "prometheus" / "rules.yaml"
COMPOSE_CONFIG = ROOT / "docker" / "prometheus" / "prometheus.yml"
RULE_TESTS = ROOT / "observability" / "prometheus" / "tests.yaml"
DASHBOARDS = sorted((FILES / "grafana").glob("*.json"))

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="needs prometheus and promtool (Debian: apt-get install prometheus)",
)

Sample = dict[str, Any]


def promtool(*arguments: str, stdin: str = "") -> str:
    """Run promtool; its output where it finds a problem, else an empty text."""
    done = subprocess.run(
        ["promtool", *arguments], input=stdin, capture_output=True, text=True
    )
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}"


def rules() -> list[dict[str, Any]]:
    """The rules of all groups."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alert rules by their names."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


# What a rule waits for: ``for: 15m``, ``[5m]``, ``offset 15m``.
_WAITS = re.compile(r"(?:(?<=for: )|(?<=\[)|(?<=offset ))(\d+)([mh])\b")
_SHORTER = {"m": "s", "h": "m"}
# Of the seconds that an expression names, those that nothing can be made older for: a
# server would have to run for them, and a run to wait in the queue.
_SECONDS = re.compile(r"> 900\b")


def hastened(rules: str) -> str:
    """The same rules with an hour as a minute, and a minute as a second.

    Expressions stay what they are but for what they wait for. Days, which stand as
    seconds in them, stay too: what is old is made old.

    Examples
    --------
    >>> hastened("expr: rate(x[5m]) > 0 unless x offset 15m\\nfor: 1h")
    'expr: rate(x[5s]) > 0 unless x offset 15s\\nfor: 1m'
    """
    shorter = _WAITS.sub(lambda found: f"{found[1]}{_SHORTER[found[2]]}", rules)
    return _SECONDS.sub("> 15", shorter)


def substituted(expression: str, model: str = ".*") -> str:
    """A panel's query as Grafana sends it for a range of a quarter of an hour."""
    values = {"$__rate_interval": "1m", "$__range": "15m", "$model": model}
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


class Prometheus:
    """The HTTP API of a server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **given: Any) -> Any:
        """The data of an answer; a refusal raises with Prometheus' reason."""
        text = urllib.parse.urlencode(given)
        try:
            with urllib.request.urlopen(f"{self.url}{path}?{text}", timeout=10) as got:
                return json.load(got)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{given}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[Sample]:
        """The samples of an expression now."""
        found: list[Sample] = self.get("/api/v1/query", query=expression)["result"]
        return found

    def at(self, expression: str, moment: float) -> list[Sample]:
        """The samples of an expression at a moment."""
        found = self.get("/api/v1/query", query=expression, time=moment)
        samples: list[Sample] = found["result"]
        return samples

    def over(
        self, expression: str, start: float, end: float, step: float
    ) -> list[Sample]:
        """The series of an expression from `start` to `end`, a value every `step`."""
        given = {"start": start, "end": end, "step": step}
        found = self.get("/api/v1/query_range", query=expression, **given)
        series: list[Sample] = found["result"]
        return series

    def value(self, expression: str) -> float:
        """The one value of an expression; NaN where it has none."""
        found = self.query(expression)
        assert len(found) <= 1, (expression, found)
        return float(found[0]["value"][1]) if found else float("nan")

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """Alert name to the labels of those that fire."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in self.get("/api/v1/alerts")["alerts"]:
            if alert["state"] == "firing":
                labels = alert["labels"]
                found.setdefault(labels["alertname"], []).append(labels)
        return found


@contextmanager
def prometheus(
    directory: Path, targets: dict[str, list[int]], rule_file: Path | None = None
) -> Iterator[Prometheus]:
    """Prometheus over `targets`, ports by job, each scraped every second.

    The jobs are those of Compose's configuration, but for their targets and interval.
    """
    config = yaml.safe_load(COMPOSE_CONFIG.read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(rule_file)] if rule_file else []
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    config["scrape_configs"] = [
        _at(jobs[name], ports) for name, ports in targets.items()
    ]
    path = directory / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    assert promtool("check", "config", str(path)) == ""
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={path}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with running(command, port, directory / "prometheus.log"):
        yield Prometheus(f"http://127.0.0.1:{port}")


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A program of Prometheus' from when it is ready at `port` to the block's end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await_ready(port, process)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _at(job: dict[str, Any], ports: list[int]) -> dict[str, Any]:
    """A scrape job that finds its targets at these ports of this machine."""
    kept = {name: job[name] for name in job if not name.endswith("_sd_configs")}
    return kept | {"static_configs": [{"targets": [f"127.0.0.1:{p}" for p in ports]}]}


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args} ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{process.args} was not ready within a minute")
