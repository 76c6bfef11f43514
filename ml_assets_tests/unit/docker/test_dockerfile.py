"""The Dockerfile and what it installs, as far as it shows without an engine."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
REMEDY = "run docker/compile.sh"
# What the platform has beside what a library of its users has.
PLATFORM = ("serve", "kubernetes", "docker", "postgres", "delivery", "s3")


def pins(path: Path) -> dict[str, set[str]]:
    """The versions that a list or lock names, by package."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", path.read_text(), re.M):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def names(path: Path) -> set[str]:
    """The packages that a list asks for."""
    lines = path.read_text().splitlines()
    return {
        canonicalize_name(Requirement(line).name)
        for line in lines
        if line and not line.startswith("#")
    }


LOCK = pins(ROOT / "requirements.lock")


@pytest.mark.parametrize("name", ["base", "serve"])
def test_an_image_installs_only_what_the_lock_file_names(name: str) -> None:
    for package, versions in pins(DOCKER / f"{name}.txt").items():
        assert versions <= LOCK.get(package, set()), f"{package}: {REMEDY}"


def test_the_code_location_has_every_dependency_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        canonicalize_name(Requirement(text).name)
        for texts in (project["dependencies"], *map(extras.__getitem__, PLATFORM))
        for text in texts
    }
    missing = wanted - set(pins(DOCKER / "base.txt"))
    assert not missing, REMEDY
    assert "dagster-postgres" in wanted


@pytest.mark.parametrize("name", ["serve", "mlflow"])
def test_a_compiled_list_holds_what_was_asked_for(name: str) -> None:
    assert names(DOCKER / f"{name}.in") <= set(pins(DOCKER / f"{name}.txt")), REMEDY


@pytest.mark.parametrize("name", ["mlflow", "build"])
def test_a_list_beyond_the_lock_file_carries_hashes(name: str) -> None:
    text = (DOCKER / f"{name}.txt").read_text()
    entries = re.findall(r"^\S+==.*(?:\\\n .*)+", text, re.MULTILINE)
    assert len(entries) == len(pins(DOCKER / f"{name}.txt"))
    assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("name", ["mlflow", "ray"])
def test_a_list_beyond_the_lock_file_repeats_nothing_of_it(name: str) -> None:
    assert not set(pins(DOCKER / f"{name}.txt")) & set(
        pins(DOCKER / "base.txt")
    ), REMEDY


def test_every_install_checks_hashes() -> None:
    installs = re.findall(r"(?:uv pip|-m pip) install .*", DOCKERFILE)
    assert len(installs) == 6
    for line in installs:
        assert "--require-hashes" in line or "--build-constraint" in line, line


def test_the_base_image_is_named_once_and_can_be_replaced() -> None:
    assert DOCKERFILE.count("python:3.11-slim") == 1
    assert "ARG PYTHON_IMAGE=python:3.11-slim" in DOCKERFILE
    stages = {name for _, name in STAGES}
    assert {base for base, _ in STAGES} - stages == {"${PYTHON_IMAGE}"}


def test_no_frontend_image_is_needed() -> None:
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE, re.MULTILINE)
    assert "--mount=" not in DOCKERFILE


@pytest.mark.parametrize("stage", ["base", "production"])
def test_an_image_ends_as_a_numeric_user_with_a_check(stage: str) -> None:
    (body,) = re.findall(
        rf"^FROM \S+ AS {stage}$(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S
    )
    assert re.findall(r"^USER (.+)$", body, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in body
    # What changes with every commit comes after what is large.
    assert body.index("/opt/venv") < body.index("COPY ml_assets") < body.index("ARG")


def test_the_context_holds_only_what_the_dockerfile_copies() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.strip("!/") for line in ignore if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        copied |= {source.split("/")[0] for source in line.split()[:-1]}
    assert "*" in ignore
    assert allowed == copied
