"""Run inside the server's image: prints what its modules may import and is not there.

Every import counts, also one inside a function, which would fail only in service.
"""

import ast
from importlib.util import find_spec
from pathlib import Path

STARTS = (
    "ml_assets.cli.serve",
    "ml_assets.cli.handoff",
    "ml_assets.serving.process.server",
)
# Packaging happens where versions are trained; the server only reads what it wrote.
OF_TRAINING = {"ml_assets.ml.features"}


def imported(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def file_of(module: str) -> Path | None:
    path = Path(*module.split("."))
    found = [path.with_suffix(".py"), path / "__init__.py"]
    return next((item for item in found if item.is_file()), None)


todo, seen, foreign = [*STARTS], set(), set()
while todo:
    module = todo.pop()
    if module in seen or module in OF_TRAINING:
        continue
    seen.add(module)
    if module.partition(".")[0] != "ml_assets":
        foreign.add(module.partition(".")[0])
    elif path := file_of(module):
        todo += imported(path)
print(sorted(name for name in foreign if find_spec(name) is None))
