"""State is rows and objects: few modules open, write, lock, rename or list files.

A module that begins to must be added here, with the reason why what it keeps is of one
machine only, or is not ours.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What each module may do with files, and why that is no state.
ALLOWED = {
    "the storage itself, a download, and the files that both are made of": (
        "core/digests.py core/files.py core/leftovers.py core/storage.py"
        " core/transfer.py"
    ),
    "the rendezvous of servers of one machine, and the hand-off of their socket": (
        "serving/models/rendezvous.py serving/process/handoff.py"
        " serving/process/draining_server.py serving/process/handoff_client.py"
    ),
    "copies of plans and bundles, or of data, which can be fetched again": (
        "ml/sources/download.py ml/sources/http.py"
        " serving/models/bundle_cache.py serving/models/plan_cache.py"
    ),
    "a server's own log, before it is shipped": (
        "lifecycle/storage_snapshot.py prediction_log/lookup.py"
        " serving/log/prediction_log.py serving/log/retired_segment.py"
        " serving/log/segments.py serving/log/shipping.py"
    ),
    "a bundle on its way into the storage or the registry, in a temporary directory": (
        "serving/models/bundle.py state/bundles.py state/registry.py"
    ),
    "a temporary directory, by which processes or a child are given what they need": (
        "lifecycle/replay.py serving/metrics/exposition.py"
    ),
    "a temporary file, by which CatBoost gives a model away": (
        "core/boosters.py serving/compiler/catboost.py"
    ),
    "the lock and the directory of SQLite, whose database is on one machine": (
        "state/engine.py state/locks.py"
    ),
    "files of Dagster and MLflow": (
        "cli/instance.py lifecycle/run_events.py observability/exporter/instance.py"
    ),
    "the old layout, which a migration only reads": (
        "delivery/migration.py lifecycle/migration/ledgers.py"
        " lifecycle/migration/models.py lifecycle/migration/prediction_log.py"
    ),
    "what a person names, or asks for: data, keys, results, YAML": (
        "cli/api_keys.py cli/bulk.py cli/checks/models.py cli/init/project.py"
        " cli/keys.py cli/predict.py"
        " components/scaffolder.py core/api_key.py core/signing.py core/user_code.py"
        " core/project.py"
        " ml/sources/files.py ml/sources/kaggle.py ml/sources/payload.py"
        " ml/sources/runtime_sources.py serving/access/keys.py spec/component_tree.py"
        " spec/introspection.py spec/model_file.py spec/user_code.py"
    ),
    "files that come with the package": (
        "cli/checks/installation.py core/provenance.py serving/openapi/docs_page.py"
    ),
    "the demo, the processes that it starts, and the check that locks work": (
        "cli/checks/storage.py cli/demo/after.py cli/demo/environment.py"
        " cli/processes.py"
    ),
    "an archive in memory": "delivery/junit.py",
    "a ConfigMap that is mounted": "automation/template_changes.py",
    "the account of a pod": "targets/clusters/connection.py",
    "the public key that signs images": "delivery/signed_statements.py",
}
# Of `ml_assets.core.files`; the others only name paths.
HELPERS = {
    "atomic_path",
    "is_locked",
    "locked",
    "read_json",
    "sync_directory",
    "write_bytes",
    "write_json",
}
METHODS = {
    *("glob", "hardlink_to", "iterdir", "mkdir", "open", "read_bytes", "read_text"),
    *("rglob", "rmdir", "symlink_to", "touch", "unlink", "write_bytes", "write_text"),
}
MODULES = {
    "fcntl": {"flock", "lockf"},
    "os": {
        *("fsync", "link", "listdir", "makedirs", "mkdir", "open", "remove", "rename"),
        *("replace", "scandir", "symlink", "unlink", "walk"),
    },
    "shutil": {"copy", "copyfile", "copytree", "move", "rmtree"},
}
# Objects that have methods of these names, and are no files.
STORAGES = {"storage", "storage()"}


def used(source: str) -> Iterator[str]:
    """What a module does with files."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "ml_assets.core.files":
            yield from HELPERS & {item.name for item in node.names}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, name = ast.unparse(node.func.value), node.func.attr
            if name in MODULES.get(owner, ()):
                yield f"{owner}.{name}"
            # `text.replace(old, new)` and `datetime.replace(year=...)` are not meant.
            elif name in {"rename", "replace"} and owner not in MODULES:
                if len(node.args) == 1 and not node.keywords:
                    yield name
            elif name in METHODS and owner not in STORAGES | {*MODULES}:
                yield name
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "open":
            yield "open"


def allowed() -> set[str]:
    return {name for names in ALLOWED.values() for name in names.split()}


def test_only_these_modules_use_files() -> None:
    package = ROOT / "ml_assets"
    found = {
        path.relative_to(package).as_posix(): sorted({*used(path.read_text("utf-8"))})
        for path in package.rglob("*.py")
    }
    using = {name: operations for name, operations in found.items() if operations}
    assert {name: using[name] for name in using.keys() - allowed()} == {}
    assert allowed() - using.keys() == set(), "what uses no file needs no permission"


@pytest.mark.parametrize(
    "source, operation",
    [
        ("from ml_assets.core.files import home, locked", "locked"),
        ("open('x')", "open"),
        ("path.open('wb')", "open"),
        ("os.rename(a, b)", "os.rename"),
        ("path.replace(target)", "replace"),
        ("(home() / 'plans').glob('*')", "glob"),
        ("fcntl.flock(stream, 2)", "fcntl.flock"),
    ],
)
def test_what_uses_a_file_is_found(source: str, operation: str) -> None:
    assert [*used(source)] == [operation]


@pytest.mark.parametrize(
    "source",
    [
        "from ml_assets.core.files import home, is_name",
        "storage().open(name)",
        "text.replace('a', 'b')",
        "moment.replace(tzinfo=None)",
        "frame.rename(columns=names)",
    ],
)
def test_what_uses_none_is_not(source: str) -> None:
    assert [*used(source)] == []
