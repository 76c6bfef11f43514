"""What is below ``.github``, and the Makefile that it calls, as tests read them."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[3]
CI, CD = ".github/workflows/ci.yml", ".github/workflows/cd.yml"
SETUP = ".github/actions/setup/action.yml"
QUALITY = ".github/actions/data-quality/action.yml"
DEPENDABOT = ".github/dependabot.yml"
MAKEFILE, RUN = "Makefile", ".ci/run"

Files = Mapping[str, str]


class Step(NamedTuple):
    """A step, and where it is: a file, and the job of a workflow."""

    file: str
    job: str
    body: dict[str, Any]

    @property
    def uses(self) -> str:
        """The action, without its version; empty if the step runs a command."""
        return str(self.body.get("uses", "")).partition("@")[0]

    @property
    def settings(self) -> dict[str, Any]:
        """What is handed to the action."""
        return dict(self.body.get("with", {}))


def read_files() -> dict[str, str]:
    """The files that the rules are about, by path."""
    paths = [*sorted((ROOT / ".github").rglob("*.yml")), ROOT / MAKEFILE, ROOT / RUN]
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}


def load(files: Files, name: str) -> dict[str, Any]:
    """One file of YAML; the key ``on`` stays a word."""
    return _parsed(files[name])


@cache
def _parsed(text: str) -> dict[str, Any]:
    """The YAML in a text, which whoever asks for it leaves as it is."""
    loaded: dict[str, Any] = yaml.load(text, _Loader)
    return loaded


def workflows(files: Files) -> dict[str, dict[str, Any]]:
    """The workflows, by path."""
    return {name: load(files, name) for name in files if "/workflows/" in name}


def jobs(files: Files) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """File, name and body of each job."""
    for name, workflow in workflows(files).items():
        for job, body in workflow["jobs"].items():
            yield name, job, body


def steps(files: Files) -> Iterator[Step]:
    """Each step of each job, and of each composite action."""
    for name, job, body in jobs(files):
        for step in body["steps"]:
            yield Step(name, job, step)
    for name in files:
        if "/actions/" in name:
            for step in load(files, name)["runs"]["steps"]:
                yield Step(name, "", step)


def steps_of(files: Files, job: str) -> list[Step]:
    """The steps of a job, with those of the actions of this repository in place."""
    found = []
    for step in steps(files):
        if step.job != job:
            continue
        found.append(step)
        if step.uses.startswith("$/"):
            action = f"{step.uses.removeprefix('$/')}/action.yml"
            found += [inner for inner in steps(files) if inner.file == action]
    return found


def target_of(step: Step) -> str:
    """The target that a step makes; empty if it uses an action."""
    command = str(step.body.get("run", ""))
    return next((word for word in command.split()[1:] if word[0] != "-"), "")


def recipes(files: Files) -> dict[str, str]:
    """What each target of the Makefile needs and does."""
    found = {}
    for names, body in re.findall(
        r"^([a-z][a-z0-9 -]*):(?!=)((?:.*\n)(?:\t.*\n)*)", files[MAKEFILE], re.MULTILINE
    ):
        found.update(dict.fromkeys(names.split(), body.partition("##")[0] + body))
    return found


def made_by(files: Files, target: str) -> set[str]:
    """The target and all that it makes on the way."""
    found = {target}
    known = recipes(files)
    needs, *lines = known[target].split("\n")
    words = set(needs.partition("##")[0].split())
    for called in re.findall(r"\$\(MAKE\)((?: [a-z-]+)+)", "\n".join(lines)):
        words |= set(called.split())
    for word in words & set(known):
        found |= made_by(files, word)
    return found


class _Loader(yaml.SafeLoader):
    """Reads ``on`` as a word, as GitHub does."""

    yaml_implicit_resolvers = {
        first: [item for item in items if item[0] != "tag:yaml.org,2002:bool"]
        for first, items in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf")
)
