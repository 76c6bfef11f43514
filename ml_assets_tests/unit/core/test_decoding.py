"""Types are decoded by any number of threads, of which none is the first."""

import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import ml_assets
from ml_assets.core.decoding import from_builtins, from_json, from_msgpack

PACKAGE = Path(ml_assets.__file__).parent
# No thread has come to any of these types before.
MANY_THREADS = """
import sys, threading
from msgspec import defstruct, json, msgpack
from ml_assets.core.decoding import from_builtins, from_json, from_msgpack

sys.setswitchinterval(1e-6)
WAYS = (
    lambda value, kind: from_builtins(value, kind),
    lambda value, kind: from_json(json.encode(value), kind),
    lambda value, kind: from_msgpack(msgpack.encode(value), kind),
)

def work(barrier, way, kind, failures):
    barrier.wait()
    found = way({"many": {"x": {"a": 1}}, "one": {"a": 2}}, kind)
    if found.many["x"].a + found.one.a != 3:
        failures.append(found)

failures = []
for number in range(150):
    inner = defstruct(f"Inner{number}", [("a", int), ("b", int | None, None)])
    kind = defstruct(f"Outer{number}", [("many", dict[str, inner]), ("one", inner)])
    barrier = threading.Barrier(6)
    threads = [
        threading.Thread(target=work, args=(barrier, WAYS[n % 3], kind, failures))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
sys.exit(bool(failures))
"""


class Item(msgspec.Struct):
    name: str
    count: int = 0


def test_threads_come_to_a_new_type_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", MANY_THREADS],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_of_another_kind_is_named() -> None:
    for decode, given in (
        (from_json, b'{"name": 1}'),
        (from_msgpack, msgspec.msgpack.encode({"name": 1})),
        (from_builtins, {"name": 1}),
    ):
        with pytest.raises(msgspec.ValidationError, match=r"`str`, got `int`.*\.name"):
            decode(given, Item)
    with pytest.raises(msgspec.DecodeError):
        from_json(b"{", Item)


def test_text_is_a_number_only_where_asked() -> None:
    given = {"name": "a", "count": "3"}
    assert from_builtins(given, Item, strict=False) == Item("a", 3)
    with pytest.raises(msgspec.ValidationError):
        from_builtins(given, Item)


def test_nothing_else_resolves_types() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                is_typed = any(item.arg == "type" for item in node.keywords)
                if name == "msgspec.convert" or (
                    name.startswith("msgspec.")
                    and (name.endswith(".Decoder") or name.endswith("decode"))
                    and (is_typed or name.endswith(".Decoder"))
                ):
                    found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert {item.partition(":")[0] for item in found} == {"core/decoding.py"}, found
