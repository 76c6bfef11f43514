"""Loading the code location, and a host with the components, against an empty project.

    python -m benchmarks.location

Prints the seconds of `dg check defs`, elapsed and of the processor, which other load
changes less: of an empty Dagster project, of the same where the package is installed
and no model is, and of the platform; the best of five each, in turn.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DG = Path(sys.executable).with_name("dg")
ROOT = Path(__file__).parents[1]
HOST = {
    "pyproject.toml": """
[project]
name = "empty"
version = "0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "empty"
code_location_target_module = "empty.definitions"
""",
    "empty/__init__.py": "",
    "empty/defs/__init__.py": "",
    "empty/definitions.py": """
from pathlib import Path
import dagster as dg

@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
""",
}
# Hides the distribution of that name that comes later on the path: `dg` imports the
# components by its entry point in every project, also in one that has no use for them.
EMPTY = HOST | {"ml_assets-0.dist-info/METADATA": "Name: ml-assets\nVersion: 0\n"}
ROUNDS = 5


def seconds(project: Path) -> tuple[float, float]:
    """One run of `dg check defs`: elapsed, and of the processor."""
    started, before = time.perf_counter(), os.times()
    subprocess.run(
        [str(DG), "check", "defs"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": f"{project}{os.pathsep}{ROOT}"},
        capture_output=True,
        check=True,
    )
    elapsed, after = time.perf_counter() - started, os.times()
    user = after.children_user - before.children_user
    return elapsed, user + after.children_system - before.children_system


def write(project: Path, files: dict[str, str]) -> Path:
    """Write the files of a project."""
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return project


def main() -> None:
    """Print the three, what the components add, and the ratio of the platform."""
    with tempfile.TemporaryDirectory() as scratch:
        projects = (
            write(Path(scratch) / "empty", EMPTY),
            write(Path(scratch) / "host", HOST),
            ROOT,
        )
        runs = [[seconds(project) for project in projects] for _ in range(ROUNDS)]
    for place, kind in enumerate(("elapsed", "processor")):
        base, host, ours = (min(s[place] for s in run) for run in zip(*runs))
        print(
            f"{kind}: empty project {base:.2f} s, with the components {host:.2f} s"
            f" ({host - base:+.2f} s), ml_assets {ours:.2f} s: {ours / base:.2f}x"
        )


if __name__ == "__main__":
    main()
