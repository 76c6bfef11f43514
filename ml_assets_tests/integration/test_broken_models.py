"""A broken YAML beside a good one: refused with its line, shown, and harmless."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml_assets_tests.unit.spec.test_model_file import GOOD, WRONG, written

ROOT = Path(__file__).parents[2]
DG = Path(sys.executable).with_name("dg")

# What is wrong beyond one key of a model: whole files, and two of them together.
FILES = {
    "no YAML": "type: [",
    "a key twice": GOOD + "  target: other\n",
    "an unknown type": GOOD.replace("TabularClassifier", "TabularClasifier"),
    "a key beside attributes": GOOD + "atributes: {}\n",
    "nothing": "type: ml_assets.components.TabularClassifier\n",
    "a variable that is not set": GOOD
    + '  description: "{{ env.NOT_SET_ANYWHERE }}"\n',
    "an unknown name in a template": GOOD + '  description: "{{ nothing.of_it }}"\n',
    "a template that gives the wrong kind": GOOD
    + "  gate: {threshold: \"{{ 'much' }}\"}\n",
    "a module that is not there": GOOD + "template_vars_module: .absent\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of this project with one good model, that a test may spoil."""
    shutil.copytree(
        ROOT / "ml_assets",
        tmp_path / "ml_assets",
        ignore=shutil.ignore_patterns("__pycache__", "census_income", "telco_churn"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(project: Path, *command: str, home: str = "") -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=project,
        env={
            **os.environ,
            "PYTHONPATH": str(project),
            "COLUMNS": "200",
            "ML_ASSETS_HOME": home or str(project / "home"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout


SCRIPT = """
import json
from ml_assets.definitions import defs
found = defs()
graph = found.resolve_asset_graph()
print(json.dumps({
    "/".join(key.path): graph.get(key).description for key in graph.get_all_asset_keys()
}))
"""


def loaded(project: Path) -> dict[str, str]:
    """The assets of the code location and their descriptions."""
    code, output = run(project, sys.executable, "-c", SCRIPT)
    assert code == 0, output
    found: dict[str, str] = json.loads(output.splitlines()[-1])
    return found


def folder(project: Path, name: str = "broken") -> Path:
    directory = project / "ml_assets/defs" / name
    directory.mkdir(exist_ok=True)
    return directory


@pytest.mark.slow
def test_every_wrong_meaning_is_shown_by_dg_by_the_ui_and_by_the_command(
    project: Path,
) -> None:
    """All of them at once, as `dg` checks one file of each component type only."""
    lines = {}
    for number, (line, key, message) in enumerate(WRONG.values()):
        file = written(folder(project, f"broken_{number}"), line)
        file.write_text(file.read_text().replace("name: broken", f"name: b{number}"))
        lines[file] = (key, message)
    code, checked = run(project, str(DG), "check", "yaml")
    assert code == 1
    shown = loaded(project)
    good = {key for key in shown if key.startswith("breast_cancer/")}
    assert {"breast_cancer/raw", "breast_cancer/model"} <= good
    code, listed = run(project, sys.executable, "-m", "ml_assets.cli", "models")
    assert code == 0, listed
    for number, (file, (key, message)) in enumerate(lines.items()):
        line = f"{file}:"
        assert line in checked, (file.read_text(), checked)
        assert message in checked
        reason = shown[f"broken_{number}/broken"]
        assert f"broken_{number}/defs.yaml:" in reason and message in reason
        assert f"b{number} is broken: {line}" in listed


@pytest.mark.slow
def test_files_that_cannot_be_loaded_leave_the_others_alone(project: Path) -> None:
    """Each of them is shown with its reason."""
    for number, text in enumerate(FILES.values()):
        # Two of one name would be broken for that alone.
        own = text.replace("name: broken", f"name: b{number}")
        (folder(project, f"broken_{number}") / "defs.yaml").write_text(own)
    shown = loaded(project)
    assert "breast_cancer/model" in shown
    for number, name in enumerate(FILES):
        assert f"b{number}/model" not in shown, name
        assert shown[f"broken_{number}/broken"].count("``") >= 2, name
    code, output = run(project, sys.executable, "-m", "ml_assets.cli", "models")
    assert code == 0, output
    assert "breast_cancer" in output


@pytest.mark.slow
def test_values_that_a_library_refuses_are_shown_by_dg(project: Path) -> None:
    file = written(
        folder(project),
        "estimator: {type: sklearn.linear_model.LogisticRegression, params: {C: -1}}\n"
        "  expect:\n"
        "    - expect_column_values_to_be_in_set: {column: a, value_set: 3}",
    )
    code, output = run(project, str(DG), "check", "yaml", str(file.parent))
    assert code == 1
    assert (
        f"{file}:6 " in output and "The 'C' parameter of LogisticRegression" in output
    )
    assert f"{file}:8 " in output and "value_set" in output


@pytest.mark.slow
def test_one_document_of_a_file_is_broken_alone(project: Path) -> None:
    wrong = GOOD.replace("name: broken", "name: wrong") + "  schedule: never\n"
    (folder(project) / "defs.yaml").write_text(GOOD + "---\n" + wrong)
    shown = loaded(project)
    assert {"breast_cancer/model", "broken/model", "broken/broken_2"} <= shown.keys()
    assert "wrong/model" not in shown


@pytest.mark.slow
def test_two_models_of_one_name_are_shown_and_neither_runs(project: Path) -> None:
    for name in ("one", "other"):
        (folder(project, name) / "defs.yaml").write_text(GOOD)
    shown = loaded(project)
    assert "breast_cancer/model" in shown
    assert "broken/model" not in shown
    for name in ("one", "other"):
        assert "defined by each of" in shown[f"{name}/broken"]
    code, output = run(
        project, sys.executable, "-m", "ml_assets.cli", "train", "broken"
    )
    assert code != 0
    assert "described by each of" in output


@pytest.mark.slow
def test_texts_stay_texts_and_templates_are_resolved_everywhere(project: Path) -> None:
    (folder(project) / "defs.yaml").write_text(
        GOOD.replace(
            "{type: sklearn, dataset: breast_cancer}",
            "{type: csv, path: a.csv," ' read: {missing: ["", "-999", "None", "[1]"]}}',
        )
        + '  features: {drop: ["2019", "1e3", "True"]}\n'
        + '  gate: {threshold: "{{ env.LEAST | float }}"}\n'
        + '  description: "{% if true %}shown{% endif %}"\n'
    )
    script = """
import os, json
os.environ["LEAST"] = "0.7"
from ml_assets.spec.catalogue import specs
from ml_assets.spec.component_tree import component
from pathlib import Path
import ml_assets
spec = specs()["broken"]
by_dagster = component(Path(ml_assets.__file__).parent / "defs/broken", 0)
assert type(spec).model_dump(spec) == type(spec).model_dump(by_dagster)
print(json.dumps([spec.source.read.missing, spec.features.drop, spec.gate.threshold,
                  spec.description]))
"""
    code, output = run(project, sys.executable, "-c", script)
    assert code == 0, output
    assert json.loads(output.splitlines()[-1]) == [
        ["", "-999", "None", "[1]"],
        ["2019", "1e3", "True"],
        0.7,
        "shown",
    ]
    code, output = run(project, str(DG), "check", "yaml")
    assert code == 0, output


@pytest.mark.slow
def test_a_good_model_is_trained_and_deployed_beside_a_broken_one(
    project: Path,
) -> None:
    written(folder(project), 'schedule: "0 25 * * *"')
    command = (sys.executable, "-m", "ml_assets.cli")
    code, output = run(project, *command, "train", "breast_cancer")
    assert code == 0, output
    code, output = run(project, *command, "deploy", "breast_cancer")
    assert code == 0, output
    code, output = run(project, *command, "models", "--json")
    rows = {
        row["model"]: row for row in json.loads(output[output.index("{") :])["models"]
    }
    assert rows["breast_cancer"]["champion"] and not rows["breast_cancer"]["broken"]
    assert "hour 0-23" in rows["broken"]["broken"]
    assert rows["broken"]["champion"] is None
