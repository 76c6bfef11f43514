"""What the workflows may do, and when; each rule says what it found wrong."""

import re
from collections.abc import Iterator

from ml_assets_tests.unit.workflows.files import (
    CD,
    CI,
    Files,
    jobs,
    load,
    recipes,
    steps,
    steps_of,
    target_of,
    workflows,
)

BRANCHES = ["main", "develop"]
READ = {"contents": "read"}
# Who may do more than read.
PERMISSIONS = {
    (CD, job): READ | dict.fromkeys(("packages", "id-token", "attestations"), "write")
    for job in ("publish", "version")
}
PIN = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
DEPLOYS = re.compile(
    r"\b(kubectl|kind|ssh|compose up|helm (install|upgrade)"
    r"|ml-assets (approve|rollback|rollout))\b"
)
SECRET = re.compile(r"secrets\s*[.\[]|K8S_|KUBECONFIG|KAGGLE|SLACK", re.IGNORECASE)
GUARDS = [
    "github.event_name == 'workflow_run'",
    "github.event.workflow_run.conclusion == 'success'",
    "github.event.workflow_run.event == 'push'",
    "github.event.workflow_run.head_branch == 'main'",
    "github.event.workflow_run.head_repository.full_name == github.repository",
]


def triggers(files: Files) -> Iterator[str]:
    """CI runs for changes of main and develop, CD after it and for versions."""
    branches = {"branches": BRANCHES}
    wanted = {
        CI: {"push": branches, "pull_request": branches},
        CD: {
            "workflow_run": {
                "workflows": [load(files, CI)["name"]],
                "types": ["completed"],
                "branches": ["main"],
            },
            "push": {"tags": ["v*"]},
        },
    }
    for name, workflow in workflows(files).items():
        if workflow["on"] != wanted.get(name):
            yield f"{name} runs on {workflow['on']}"


def guards(files: Files) -> Iterator[str]:
    """What publishes sees pushes to main that CI has passed; a version is a push."""
    publish, version = (load(files, CD)["jobs"][job] for job in ("publish", "version"))
    if publish.get("if", "").split(" && ") != GUARDS:
        yield f"publish runs if {publish.get('if')}"
    if version.get("if") != "github.event_name == 'push'":
        yield f"version runs if {version.get('if')}"
    if publish["env"]["REVISION"] != "${{ github.event.workflow_run.head_sha }}":
        yield "publish takes another commit than CI has passed"
    if publish["env"]["NAME"] != "main" or "ref_name" not in version["env"]["NAME"]:
        yield "a job publishes under the name of another"


def concurrency(files: Files) -> Iterator[str]:
    """A superseded run of CI is cancelled; a publication never is."""
    ci, cd = (load(files, name).get("concurrency", {}) for name in (CI, CD))
    if "github.ref" not in ci.get("group", ""):
        yield "runs of CI for different changes wait for one another"
    if ci.get("cancel-in-progress") != "${{ github.ref != 'refs/heads/main' }}":
        yield "a superseded run of CI goes on"
    if cd.get("cancel-in-progress") is not False or "group" not in cd:
        yield "a publication can be cancelled half way"


def permissions(files: Files) -> Iterator[str]:
    """Nothing by default, and in each job no more than it needs."""
    for name, workflow in workflows(files).items():
        if workflow.get("permissions") != {}:
            yield f"{name} grants {workflow.get('permissions')} to every job"
    for name, job, body in jobs(files):
        wanted = PERMISSIONS.get((name, job), READ)
        if body.get("permissions") != wanted:
            yield f"{name}: {job} may {body.get('permissions')}, expected {wanted}"


def pins(files: Files) -> Iterator[str]:
    """Actions are named by commit, with the version beside it, everywhere the same."""
    known: dict[str, str] = {}
    for name, text in files.items():
        for line in re.findall(r"^\s*(?:- )?uses: (.+)$", text, re.MULTILINE):
            if line.startswith("$/"):
                if f"{line.removeprefix('$/')}/action.yml" not in files:
                    yield f"{name}: there is no {line}"
            elif not PIN.fullmatch(line):
                yield f"{name}: {line} is not pinned with its version beside it"
            elif known.setdefault(line.partition("@")[0], line) != line:
                yield f"{name}: {line} is pinned to another version elsewhere"


def deployments(files: Files) -> Iterator[str]:
    """GitHub reaches no cluster but the one that its own test has made."""
    for name, text in files.items():
        if name.startswith(".github/") and (found := SECRET.search(text)):
            yield f"{name} reads {found.group()}"
    known = recipes(files)
    for step in steps(files):
        target = target_of(step)
        body = str(step.body.get("run", "")) + known.get(target, "")
        if target not in {"cluster", "test-cluster"} and (
            found := DEPLOYS.search(body)
        ):
            yield f"{step.file}: {target or step.body['run']} runs {found.group()}"
        if target in {"cluster", "test-cluster"} and (step.file, step.job) != (
            CI,
            "e2e",
        ):
            yield f"{step.file}: {step.job} reaches a cluster"


def environments(files: Files) -> Iterator[str]:
    """No job stands for an environment: staging and production are Dagster's."""
    for name, job, body in jobs(files):
        if "environment" in body:
            yield f"{name}: {job} deploys to {body['environment']}"


def checkouts(files: Files) -> Iterator[str]:
    """No later step finds the token in the checkout."""
    for step in steps(files):
        if step.uses == "actions/checkout":
            if step.settings.get("persist-credentials") is not False:
                yield f"{step.file}: {step.job} leaves its token on the disk"


def publication(files: Files) -> Iterator[str]:
    """Built, signed, attested, and only then named; a version is not built again."""
    order = _order(files, "publish")
    attested = ["attest-build-provenance"] * 3
    made = ["publish-build", "publish-sign", "publish-list", *attested]
    if order != [*made, "publish-tag", "publish-list"]:
        yield f"publish does {order}"
    named = ["publish-verify", "publish-tag", "publish-chart", "publish-list"]
    order = _order(files, "version")
    if order != [*named, "attest-build-provenance", "publish-list"]:
        yield f"version does {order}"
    subjects = {
        step.settings["subject-digest"]
        for job in ("publish", "version")
        for step in steps_of(files, job)
        if "attest" in step.uses and step.settings.get("push-to-registry") is True
    }
    targets = ("base", "production", "observability", "chart")
    if subjects != {f"${{{{ steps.images.outputs.{name} }}}}" for name in targets}:
        yield f"attested are {sorted(subjects)}"


def _order(files: Files, job: str) -> list[str]:
    """What a job publishes and attests, step by step."""
    return [
        target_of(step) or step.uses.rpartition("/")[2]
        for step in steps_of(files, job)
        if target_of(step) or "attest" in step.uses
    ]
