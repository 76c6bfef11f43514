"""A socket hand-off on this machine's engine, and what deployers do behind it."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from ml_assets.records.plan import ServingPlan, encode
from ml_assets.targets.docker import DockerTarget
from ml_assets_tests.kits.docker import IMPATIENT, RESTRICTED, Container, docker
from ml_assets_tests.kits.serving import Load, answers, rows, write_version

MODEL = "census"
DEPLOY = """
import sys, msgspec
from ml_assets.records.plan import ServingPlan
from ml_assets.targets.docker import DockerTarget
from ml_assets_tests.kits.plans import apply
target = DockerTarget()
wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=ServingPlan)
with target.lock(wanted.model):
    apply(target, wanted)
"""


class Stack:
    """A hand-off on this machine's engine, and the storage that all share."""

    def __init__(self, root: Path, image: str) -> None:
        self.name = f"ml-assets-test-{uuid.uuid4().hex[:8]}"
        self.root = root
        self.image = f"{self.name}:server"
        docker("tag", image, self.image)
        docker("network", "create", self.name)
        self.target = DockerTarget(timeout=60.0)
        self.arms = {
            name: write_version(root, name, seed) for seed, name in enumerate("ab")
        }
        self.given = rows(40)
        self.expected = {
            name: answers(root, arm, self.given) for name, arm in self.arms.items()
        }
        self._open_to_everybody()
        self.handoff: Container | None = None

    def _open_to_everybody(self) -> None:
        """Let the containers' user write where this process may."""
        (self.root / "servers").mkdir()
        for path in (self.root, *self.root.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o644)

    def open_handoff(self, *options: str, labels: bool = True) -> Container:
        """Start the hand-off, as compose.yaml does."""
        marks = (
            {"role": "handoff", "model": MODEL, "stack": self.name} if labels else {}
        )
        id_ = docker(
            "run", "--detach", "--restart=unless-stopped", *RESTRICTED, *IMPATIENT,
            *(f"--label=ml-assets.dev/{key}={value}" for key, value in marks.items()),
            f"--network={self.name}", "--network-alias=model-server",
            f"--volume={self.root}:/var/lib/ml-assets",
            f"--volume={self.name}-sockets:/run/ml-assets",
            "--env=ML_ASSETS_HANDOFF=/run/ml-assets/census.sock",
            "--publish=127.0.0.1::8080", *options, self.image,
            "ml-assets", "handoff", "--host", "0.0.0.0", "--port", "8080",
        )  # fmt: skip
        self.handoff = Container(id_.splitlines()[-1])
        return self.handoff

    @property
    def port(self) -> int:
        assert self.handoff is not None
        return int(self.handoff.address(8080).rpartition(":")[2])

    def under_load(self, work: Callable[[], object], seconds: float = 0.5) -> Load:
        """Do `work` while eight clients ask, and go on a little afterwards."""

        async def during() -> None:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(work)
            await asyncio.sleep(seconds)

        load = Load(self.port, self.given, self.expected, 8, reconnects=True)
        asyncio.run(load.run(during()))
        print(
            f"{load.answered.total()} answered ({dict(load.answered)}),"
            f" {len(load.lost)} lost, {len(load.wrong)} wrong,"
            f" {load.closed} asked to reconnect"
        )
        return load

    def servers(self) -> list[tuple[int, str]]:
        """Generation and state of every server container."""
        shown = docker(
            "ps", "--all", f"--filter=label=ml-assets.dev/stack={self.name}",
            "--filter=label=ml-assets.dev/role=server",
            '--format={{.Label "ml-assets.dev/generation"}} {{.State}}',
        )  # fmt: skip
        pairs = [line.split() for line in shown.splitlines()]
        return sorted((int(generation), state) for generation, state in pairs)

    def server_ids(self) -> list[str]:
        """Ids of every server container."""
        found = docker(
            "ps", "--all", "--quiet", "--no-trunc",
            f"--filter=label=ml-assets.dev/stack={self.name}",
            "--filter=label=ml-assets.dev/role=server",
        )  # fmt: skip
        return found.split()

    def deployer(self, wanted: ServingPlan) -> "subprocess.Popen[bytes]":
        """A process that applies a plan."""
        process = subprocess.Popen(
            [sys.executable, "-c", DEPLOY], stdin=subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(encode(wanted))
        process.stdin.close()
        return process

    def remove(self) -> None:
        found = docker(
            "ps", "--all", "--quiet", f"--filter=label=ml-assets.dev/stack={self.name}"
        )
        ids = [*found.split(), *([self.handoff.id] if self.handoff else [])]
        if ids:
            docker("rm", "--force", "--volumes", *ids, check=False)
        docker("network", "rm", self.name)
        docker("volume", "rm", "--force", f"{self.name}-sockets")
        docker("rmi", "--force", self.image)
