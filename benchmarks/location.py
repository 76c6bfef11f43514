"""Loading the code location against an empty Dagster project.

    python -m benchmarks.location

Prints the seconds of `dg check defs` for both, the best of three, and their ratio.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DG = Path(sys.executable).with_name("dg")
ROOT = Path(__file__).parents[1]
EMPTY = {
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


def seconds(project: Path) -> float:
    """Best of three runs of `dg check defs`."""
    environment = {**os.environ, "PYTHONPATH": str(project)}
    found = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run(
            [str(DG), "check", "defs"],
            cwd=project,
            env=environment,
            capture_output=True,
            check=True,
        )
        found.append(time.perf_counter() - started)
    return min(found)


def main() -> None:
    """Print both and the ratio."""
    with tempfile.TemporaryDirectory() as scratch:
        empty = Path(scratch)
        for name, text in EMPTY.items():
            (empty / name).parent.mkdir(parents=True, exist_ok=True)
            (empty / name).write_text(text)
        base = seconds(empty)
    ours = seconds(ROOT)
    print(f"empty project {base:.1f} s, ml_assets {ours:.1f} s: {ours / base:.2f}x")


if __name__ == "__main__":
    main()
