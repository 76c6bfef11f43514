"""Builds the images, and runs containers without rights and with nothing to write."""

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
USER = "10001:10001"
RESTRICTED = [
    "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges",
    "--tmpfs=/tmp", f"--user={USER}",
]  # fmt: skip
# The image's own check, asked more often than in service.
IMPATIENT = ["--health-interval=1s", "--health-start-period=1s", "--health-retries=3"]


def docker(*arguments: str, check: bool = True, timeout: float = 120.0) -> str:
    """The output of a docker command; DOCKER names another client."""
    command = [os.environ.get("DOCKER", "docker"), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False
    )
    output = done.stdout + done.stderr
    if check and done.returncode:
        raise AssertionError(f"docker {arguments[0]}: {done.returncode}\n{output}")
    return output.strip()


def missing_engine() -> str:
    """Why no engine answers; empty if one does."""
    client = os.environ.get("DOCKER", "docker")
    if shutil.which(client) is None:
        return f"there is no {client}"
    done = subprocess.run([client, "info"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no engine answers: {done.stderr.strip()}"


def build(target: str, tag: str) -> None:
    """Build one target; PYTHON_IMAGE names another base."""
    image = os.environ.get("PYTHON_IMAGE")
    arguments = ["--build-arg", f"PYTHON_IMAGE={image}"] if image else []
    arguments += ["--build-arg", "REVISION=0123abc"]
    docker("build", "--target", target, "-t", tag, *arguments, str(ROOT), timeout=1800)


class Container:
    """A running container."""

    def __init__(self, id_: str) -> None:
        self.id = id_

    def await_health(self, wanted: str, seconds: float = 180.0) -> str:
        """Wait for a state of the health check; the output of the last checks."""
        deadline = time.monotonic() + seconds
        state = ""
        while time.monotonic() < deadline:
            state = self.inspect(
                "{{.State.Status}} {{.State.Health.Status}}"
                " {{range .State.Health.Log}}{{.Output}}{{end}}"
            )
            if state.split()[:2] == ["running", wanted]:
                return state
            time.sleep(0.2)
        raise AssertionError(f"expected {wanted}, found {state}\n{self.logs()}")

    def inspect(self, template: str) -> str:
        """One fact about the container."""
        return docker("inspect", "--format", template, self.id)

    def logs(self) -> str:
        """What it printed."""
        return docker("logs", self.id)

    def run(self, *command: str) -> str:
        """The output of a command inside."""
        return docker("exec", self.id, *command)

    def signal(self, name: str) -> None:
        """Send a signal to what the init process started."""
        script = (
            "import os, pathlib, signal, sys\n"
            "for path in pathlib.Path('/proc').glob('[0-9]*/stat'):\n"
            "    pid, parent = int(path.parent.name), path.read_text().split()[3]\n"
            "    if parent == '1' and pid != os.getpid():\n"
            "        print('sent', flush=True)\n"
            "        os.kill(pid, getattr(signal, sys.argv[1]))\n"
        )
        # Where the container ends of it, this command ends with it.
        output = docker("exec", self.id, "python", "-c", script, name, check=False)
        assert output.startswith("sent"), output

    def address(self, port: int) -> str:
        """Where a published port answers on this machine."""
        return "http://" + docker("port", self.id, f"{port}/tcp").splitlines()[0]


@contextmanager
def running(
    image: str, *command: str, options: list[str] | None = None
) -> Iterator[Container]:
    """A container that runs in the background and is gone afterwards."""
    given = [*RESTRICTED, *IMPATIENT, *(options or [])]
    id_ = docker("run", "--detach", *given, image, *command).splitlines()[-1]
    try:
        yield Container(id_)
    finally:
        docker("rm", "--force", "--volumes", id_)


def run_once(image: str, *command: str, options: list[str] | None = None) -> str:
    """The output of a container that runs to its end."""
    given = ["--rm", *RESTRICTED, *(options or [])]
    return docker("run", *given, image, *command, timeout=300)


@contextmanager
def network() -> Iterator[str]:
    """A network with a name service of its own, which is gone afterwards."""
    name = f"ml-assets-test-{uuid.uuid4().hex}"
    docker("network", "create", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


@contextmanager
def volume() -> Iterator[str]:
    """A volume that is gone afterwards."""
    name = f"ml-assets-test-{uuid.uuid4().hex}"
    docker("volume", "create", name)
    try:
        yield name
    finally:
        docker("volume", "rm", "--force", name)
