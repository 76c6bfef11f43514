"""A clone that publishes images."""

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import helm_python

ROOT = Path(__file__).parents[2]
STANDINS = Path(__file__).parent / "standins"
TARGETS = ("base", "production", "observability")
SIGNER = "https://github.com/Owner/Name/.github/workflows/cd.yml@refs/heads/main"


class PublishingClone:
    """A clone of a repository that publishes to a registry."""

    def __init__(self, directory: Path, host: str) -> None:
        # Registries want small letters; owners of repositories do not know.
        image = f"{host}/Owner/Name-{uuid.uuid4().hex}"
        self.image = image.lower()
        self.directory = directory / "clone"
        self.log = directory / "log"
        self.commits: list[str] = []
        (self.directory / "docker").mkdir(parents=True)
        shutil.copy(ROOT / "docker" / "publish.sh", self.directory / "docker")
        shutil.copytree(ROOT / "helm" / "ml-assets", self.directory / "helm/ml-assets")
        programs = directory / "bin"
        programs.mkdir()
        bare, helm = f"-I -S {STANDINS / 'buildx.py'}", f"-I {STANDINS / 'helm.py'}"
        for name, called in (("docker", bare), ("cosign", bare), ("helm", helm)):
            script = f'#!/bin/sh\nexec {sys.executable} {called} "$@"\n'
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "IMAGE": image,
            "STANDIN_LOG": str(self.log),
            "SIGNER": SIGNER,
        }
        self.git("init", "--quiet", "--initial-branch=main")
        (self.directory / ".gitignore").write_text("reports/\n")
        self.git("add", ".")

    def git(self, *arguments: str) -> str:
        author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        command = ["git", *author, *arguments]
        return subprocess.run(
            command, cwd=self.directory, capture_output=True, text=True, check=True
        ).stdout.strip()

    def commit(self, *options: str) -> str:
        """Make a commit on main, as the remote sees it."""
        if self.commits:
            self.git("checkout", "--quiet", "main")
        self.git("commit", "--quiet", "--allow-empty", "-m", "a change", *options)
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]

    def run(self, commit: str, name: str, *verbs: str) -> tuple[int, str]:
        """Run commands until one fails; its code and what all have printed."""
        printed = ""
        if commit in self.commits:
            self.git("checkout", "--quiet", "--detach", commit)
        for verb in verbs:
            done = subprocess.run(
                ["docker/publish.sh", verb],
                cwd=self.directory,
                env=self.environment | {"REVISION": commit, "NAME": name},
                capture_output=True,
                text=True,
                check=False,
            )
            printed += done.stdout + done.stderr
            if done.returncode:
                return done.returncode, printed
        return 0, printed

    def publish(self, commit: str) -> dict[str, str]:
        """What the job of main does; the digests that it printed."""
        code, printed = self.run(commit, "main", "build", "sign", "tag", "list")
        assert code == 0, printed
        lines = printed.splitlines()[-4:]
        return dict(line.split("=", 1) for line in lines)

    def name(self, commit: str, version: str) -> tuple[int, str]:
        """What the job of a version does."""
        return self.run(commit, version, "verify", "tag", "chart", "list")

    def tags(self) -> set[str]:
        try:
            with urllib.request.urlopen(self._url("tags/list"), timeout=10) as answer:
                return set(json.load(answer)["tags"] or [])
        except urllib.error.HTTPError as error:
            assert error.code == 404
            return set()

    def digests(self, name: str) -> dict[str, str]:
        """Where the three tags of a name lead."""
        return {target: self._digest(f"{name}-{target}") for target in TARGETS}

    def _url(self, what: str) -> str:
        host, _, path = self.image.partition("/")
        return f"http://{host}/v2/{path}/{what}"

    def _digest(self, tag: str) -> str:
        request = urllib.request.Request(
            self._url(f"manifests/{tag}"),
            headers={"Accept": "application/vnd.oci.image.index.v1+json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["Docker-Content-Digest"])

    def chart(self, version: str) -> helm_python.Chart:
        """The chart of a version, pulled as Helm pulls it."""
        folder = self.log.parent
        helm_python.pull(
            f"oci://{self.image}/charts/ml-assets",
            version=version,
            destination=folder,
            plain_http=True,
        )
        return helm_python.Chart.load(folder / f"ml-assets-{version}.tgz")

    def builds(self) -> int:
        """How many images were built so far."""
        return self.log.read_text().count("buildx build")
