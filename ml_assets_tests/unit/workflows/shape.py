"""What the workflows consist of; each rule says what it found wrong."""

import re
import tomllib
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from ml_assets_tests.unit.workflows.files import (
    CD,
    CI,
    DEPENDABOT,
    MAKEFILE,
    ROOT,
    RUN,
    Files,
    Step,
    jobs,
    load,
    made_by,
    recipes,
    steps,
    steps_of,
    target_of,
    workflows,
)

JOBS = {
    *("lint-and-format", "test", "test-processes", "data-validation"),
    *("chart", "image", "e2e"),
}
# All that a step may run: one target, whose output may be kept.
COMMAND = re.compile(
    r'make (--silent )?[a-z0-9-]+( >>"\$GITHUB_OUTPUT"'
    r'| \| tee -a "\$GITHUB_STEP_SUMMARY")?'
)
# What CI keeps, and which job makes it.
REPORTS = {
    "lint-and-format": ["reports/bandit.json", "reports/safety.json"],
    "test": ["reports/coverage.xml", "reports/coverage/", "reports/junit.xml"],
    "data-validation": ["reports/data-quality.json"],
    "test-processes": ["reports/junit-*.xml"],
    "image": ["reports/junit-*.xml"],
    "e2e": ["reports/junit-*.xml"],
}
LINTERS = {
    *("black", "isort", "flake8", "mypy", "bandit", "lint-imports", "hadolint"),
    *("shellcheck", "yamllint", "zizmor", "python -m checks.secrets"),
    "python -m checks.audit",
}
# The slow tests that `make ci` runs at once, and CI in two jobs.
ALL_BUT_CHART = "\ntest-slow: CHOSEN = $(addprefix --ignore=,$(CHART_TESTS))\n"
# What keeps a command from failing.
LENIENT = re.compile(r"\|\||;|--exit-zero|--no-exit-codes|--warn-only|sarif|^\t-")
# Of ci.yml, and not of `make ci`.
NEEDS_GITHUB = {"audit-online", "cluster", "test-cluster", "packages", "image", "setup"}


def commands(files: Files) -> Iterator[str]:
    """Every command is a target of the Makefile, which a person can run at home."""
    for step in steps(files):
        command = step.body.get("run")
        if command is not None and not COMMAND.fullmatch(command):
            yield f"{step.file}: {command} is not a target of the Makefile"
        elif command is not None and target_of(step) not in recipes(files):
            yield f"{step.file}: the Makefile has no {target_of(step)}"


def pipes(files: Files) -> Iterator[str]:
    """A failure before a pipe is a failure, which it is in a shell that is named."""
    for name, workflow in workflows(files).items():
        if workflow.get("defaults", {}).get("run", {}).get("shell") != "bash":
            yield f"{name} runs in a shell that forgets failures before a pipe"


def linters(files: Files) -> Iterator[str]:
    """Lint runs every checker so that what it finds is a failure."""
    lines = recipes(files)["lint"].replace("\\\n", " ").splitlines()
    strict = "\n".join(line for line in lines if not LENIENT.search(line))
    for linter in LINTERS:
        if f"$(BIN)/{linter}" not in strict:
            yield f"`make lint` does not fail by what {linter} finds"


def artifacts(files: Files) -> Iterator[str]:
    """Reports are kept for a while, also those of a job that failed."""
    names = []
    for step in steps(files):
        if step.uses != "actions/upload-artifact":
            continue
        given = step.settings
        names.append(given.get("name"))
        where = f"{step.file}: {given.get('name')}"
        if not _days(files, step):
            yield f"{where} has no retention-days"
        if given.get("if-no-files-found") != "error":
            yield f"{where} may be empty"
        if step.body.get("if") != "${{ !cancelled() }}":
            yield f"{where} is not kept after a failure"
    if len(names) != len(set(names)):
        yield f"two artifacts share a name: {names}"


def reports(files: Files) -> Iterator[str]:
    """What the checks and tests found can be read afterwards."""
    for job, wanted in REPORTS.items():
        uploads = [
            step.settings["path"]
            for step in steps_of(files, job)
            if step.uses == "actions/upload-artifact"
        ]
        kept = "\n".join(uploads).split()
        for path in wanted:
            if path not in kept:
                yield f"{job} does not keep {path}"


def caches(files: Files) -> Iterator[str]:
    """What is cached belongs to one lock file, and no publication reads a cache."""
    for step in steps(files):
        if step.uses == "actions/cache":
            key = str(step.settings.get("key"))
            if "hashFiles('requirements.lock')" not in key or "python" not in key:
                yield f"{step.file}: the cache is keyed by {key}"
            if step.settings.get("restore-keys"):
                yield f"{step.file}: the cache of another lock file is taken"
        if step.uses == "actions/setup-python" and "cache" in step.settings:
            yield f"{step.file}: setup-python caches by itself"
        if step.file == CD and ("cache" in step.uses or step.uses.startswith("$/")):
            yield "what is published comes out of a cache that CI may write"


def parts(files: Files) -> Iterator[str]:
    """CI has these jobs, side by side, each with an end and on a named system."""
    found = load(files, CI)["jobs"]
    if set(found) != JOBS:
        yield f"CI has the jobs {sorted(found)}"
    for name, job, body in jobs(files):
        if "needs" in body:
            yield f"{name}: {job} waits for {body['needs']}"
        if not 0 < int(body.get("timeout-minutes", 0)) <= 90:
            yield f"{name}: {job} may run for hours"
        if body["runs-on"] != "ubuntu-24.04":
            yield f"{name}: {job} runs on {body['runs-on']}"
        if "continue-on-error" in str(body):
            yield f"{name}: {job} may fail without a word"


def matrix(files: Files) -> Iterator[str]:
    """Every Python that the project supports is tested, and no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = SpecifierSet(project["requires-python"])
    wanted = [f"3.{n}" for n in range(30) if f"3.{n}" in supported]
    found = load(files, CI)["jobs"]["test"]["strategy"]["matrix"]["python"]
    if found != wanted:
        yield f"tested are {found}, supported {wanted}"


def at_home(files: Files) -> Iterator[str]:
    """`make ci` is what CI runs, less what needs GitHub, and `.ci/run` calls it."""
    targets = {
        target_of(step)
        for job in JOBS & set(load(files, CI)["jobs"])
        for step in steps_of(files, job)
    }
    made = made_by(files, "ci")
    if "test-slow" in made and ALL_BUT_CHART in files[MAKEFILE]:
        made |= {"test-processes", "test-containers"}
    missing = targets - {""} - NEEDS_GITHUB - made
    if missing:
        yield f"`make ci` does not run {sorted(missing)}"
    if not re.search(r"^make ci$", files[RUN], re.MULTILINE):
        yield f"{RUN} does not call `make ci`"


def updates(files: Files) -> Iterator[str]:
    """Dependabot looks after packages, actions (the composite ones too) and images."""
    found = {
        entry["package-ecosystem"]: entry
        for entry in load(files, DEPENDABOT)["updates"]
    }
    if set(found) != {"pip", "github-actions", "docker"}:
        yield f"Dependabot looks after {sorted(found)}"
    directories = found.get("github-actions", {}).get("directories", [])
    if not {"/", "/.github/actions/*"} <= set(directories):
        yield f"Dependabot looks for actions in {directories}"


def _days(files: Files, step: Step) -> bool:
    """Whether an artifact is kept for some days, maybe by default of an input."""
    text = str(step.settings.get("retention-days", ""))
    if text == "${{ inputs.retention-days }}":
        text = str(load(files, step.file)["inputs"]["retention-days"].get("default"))
    return text.isdigit() and 0 < int(text) <= 90
