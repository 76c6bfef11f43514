"""A real Alertmanager (Debian's) with the route that the chart describes."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_assets_tests.kits.prometheus import free_port, running

needs_alertmanager = pytest.mark.skipif(
    not (shutil.which("prometheus-alertmanager") and shutil.which("amtool")),
    reason="needs Alertmanager (Debian: apt-get install prometheus-alertmanager)",
)


def plain(item: dict[str, Any], namespace: str, webhook: str) -> dict[str, Any]:
    """Alertmanager's own configuration of an AlertmanagerConfig.

    As the Prometheus operator makes it: names in snake case, matchers as texts, below a
    root that sends nothing anywhere, for alerts of the object's namespace alone.
    """
    spec = _snake(item["spec"])
    route = _matched(spec["route"])
    route["matchers"] = [f'namespace="{namespace}"', *route["matchers"]]
    for receiver in spec["receivers"]:
        for slack in receiver["slack_configs"]:
            del slack["api_u_r_l"]
            slack["api_url"] = webhook
    return {
        "route": {"receiver": "nobody", "routes": [{**route, "continue": True}]},
        "receivers": [{"name": "nobody"}, *spec["receivers"]],
    }


def amtool(*arguments: str) -> str:
    """The output of amtool, which must succeed."""
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@contextmanager
def alertmanager(directory: Path, config: dict[str, Any]) -> Iterator[int]:
    """An Alertmanager of one; the port at which it takes alerts."""
    path = directory / "alertmanager.yaml"
    path.write_text(yaml.safe_dump(config))
    amtool("check-config", str(path))
    port = free_port()
    command = [
        "prometheus-alertmanager",
        f"--config.file={path}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(command, port, directory / "alertmanager.log"):
        yield port


def _snake(value: Any) -> Any:
    if isinstance(value, list):
        return [_snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name): _snake(item)
        for name, item in value.items()
    }


def _matched(route: dict[str, Any]) -> dict[str, Any]:
    matchers = [
        f'{item["name"]}{item["match_type"]}"{item["value"]}"'
        for item in route["matchers"]
    ]
    below = [_matched(item) for item in route.get("routes", [])]
    return {**route, "matchers": matchers, **({"routes": below} if below else {})}
