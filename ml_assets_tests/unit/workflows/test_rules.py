"""The files below ``.github`` keep the rules, and each rule notices what breaks it."""

import inspect
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml_assets_tests.unit.workflows import safety, shape
from ml_assets_tests.unit.workflows.files import (
    CD,
    CI,
    MAKEFILE,
    ROOT,
    SETUP,
    read_files,
)
from ml_assets_tests.unit.workflows.mutations import CHECKOUT, MUTATIONS, Rule

RULES: list[Rule] = [
    function
    for module in (safety, shape)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
]

# What zizmor must see, in files that are otherwise as they are.
UNSAFE = [
    (CI, "run: make lint", "run: echo ${{ github.event.pull_request.title }}"),
    (CI, f"{CHECKOUT} # v6.0.2", "actions/checkout@v6"),
    (CI, "          persist-credentials: false\n", "          fetch-depth: 1\n"),
    (CI, "\npermissions: {}", "\npermissions: write-all"),
    (CD, "  workflow_run: # zizmor: ignore[dangerous-triggers]", "  workflow_run:"),
    (SETUP, "run: make setup", "run: echo PATH=${{ inputs.python }} >>$GITHUB_ENV"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_files_keep_each_rule(rule: Rule) -> None:
    assert list(rule(read_files())) == []


@pytest.mark.parametrize(
    "rule, file, old, new",
    [
        pytest.param(*row, id=f"{row[0].__name__}-{number}")
        for number, row in enumerate(MUTATIONS)
    ],
)
def test_a_rule_notices_what_breaks_it(
    rule: Rule, file: str, old: str, new: str
) -> None:
    files = read_files()
    assert old in files[file]
    assert list(rule(files | {file: files[file].replace(old, new)}))


def test_every_rule_is_broken_by_something() -> None:
    assert {rule for rule, *_ in MUTATIONS} == set(RULES)


def zizmor(root: Path) -> subprocess.CompletedProcess[str]:
    """Run zizmor as `make lint` does, on the files below `root`."""
    (line,) = re.findall(r"^\t\$\(BIN\)/(zizmor .*)$", read_files()[MAKEFILE], re.M)
    program, *arguments = shlex.split(line)
    return subprocess.run(
        # On GitHub it would colour what it says.
        [str(Path(sys.executable).with_name(program)), "--color=never", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def test_yamllint_looks_at_what_git_would_take_and_at_nothing_else(
    tmp_path: Path,
) -> None:
    """What a demo leaves behind holds YAML of others."""
    (line,) = re.findall(r"^\t\$\(BIN\)/(yamllint .*)$", read_files()[MAKEFILE], re.M)
    program = Path(sys.executable).with_name("yamllint")
    command = line.replace("yamllint", str(program), 1).replace("$$", "$")

    def lint() -> int:
        return subprocess.run(command, shell=True, cwd=tmp_path, check=False).returncode

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for name in (".gitignore", ".yamllint"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "good.yaml").write_text("a: 1\n")
    (tmp_path / ".ml_assets").mkdir()
    (tmp_path / ".ml_assets" / "bad.yaml").write_text("a:   1\n")
    assert lint() == 0
    (tmp_path / "bad.yml").write_text("a:   1\n")
    assert lint() == 1


def test_zizmor_finds_nothing_and_one_trigger_is_accepted() -> None:
    done = zizmor(ROOT)
    assert done.returncode == 0, done.stdout
    assert "(1 ignored)" in done.stdout + done.stderr


@pytest.mark.parametrize("file, old, new", UNSAFE)
def test_zizmor_as_lint_runs_it_fails_on_what_is_unsafe(
    file: str, old: str, new: str, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    path = tmp_path / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    done = zizmor(tmp_path)
    # 10 and more say how bad the worst finding is; less, that nothing was audited.
    assert done.returncode > 10, done.stdout + done.stderr
