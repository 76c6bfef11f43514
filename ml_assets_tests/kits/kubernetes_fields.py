"""Who owns which field of an object, as server-side apply documents it.

Fields are paths; items of a list are named by their key, as the API's schema has it for
containers and variables. Kubernetes: "Server-Side Apply", sections on field management
and conflicts.
"""

import copy
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
Path = tuple[str, ...]


class Conflict(Exception):
    """Others own, with another value, what somebody wants to apply."""


class Owners:
    """The managed fields of one object.

    As in the API, what a manager applied and what it wrote by any other verb are two
    entries: an apply gives up nothing that the other one has.
    """

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], set[Path]] = {}

    def managers(self, path: Path) -> set[str]:
        """Who owns a field."""
        return {name for name, _ in self._entries(path)}

    def _entries(self, path: Path) -> set[tuple[str, str]]:
        return {entry for entry, paths in self.of.items() if path in paths}

    def update(self, manager: str, before: Object, after: Object) -> None:
        """Who changes a field by any other verb becomes its only owner."""
        old, new = dict(leaves(before)), dict(leaves(after))
        changed = {path for path in new if path not in old or old[path] != new[path]}
        for paths in self.of.values():
            paths -= changed | (old.keys() - new.keys())
        self.of.setdefault((manager, "Update"), set()).update(changed)

    def apply(
        self, manager: str, live: Object, given: Object, force: bool = False
    ) -> Object:
        """`live` after an apply; what was applied before and is not now is given up."""
        wanted, found = dict(leaves(given)), dict(leaves(live))
        own = (manager, "Apply")
        conflicts = {
            path: sorted(name for name, _ in others)
            for path, value in wanted.items()
            if (others := self._entries(path) - {own})
            and found.get(path, value) != value
        }
        if conflicts and not force:
            fields = [f'"{m[0]}": .{".".join(p)}' for p, m in conflicts.items()]
            raise Conflict(
                f"Apply failed with {len(fields)} conflicts: {', '.join(fields)}"
            )
        for path in conflicts:
            for other in self.of.values():
                other.discard(path)
        given_up = self.of.get(own, set()) - wanted.keys()
        self.of[own] = {*wanted}
        result = copy.deepcopy(live)
        for path, value in wanted.items():
            put(result, path, value)
        # By its name an item is found: that goes last.
        for path in sorted(given_up, key=lambda path: path[-1] == "name"):
            if not self.managers(path):
                remove(result, path)
        return result


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field that holds no others, and its value."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value and all(_named(item) for item in value):
        for item in value:
            yield from leaves(item, (*path, f"[{item['name']}]"))
    else:
        yield path, value


def put(target: Any, path: Path, value: Any) -> None:
    """Set a field, and make the objects above it."""
    for key, below in zip(path, path[1:], strict=False):
        target = _item(target, key, [] if below.startswith("[") else {})
    target[path[-1]] = copy.deepcopy(value)


def remove(target: Any, path: Path) -> None:
    """Remove a field, and the item of a list of which it was the last."""
    *above, last = path
    around = target
    for key in above:
        around, target = target, _item(target, key, {})
    target.pop(last, None)
    if not target and isinstance(around, list):
        around.remove(target)


def _item(target: Any, key: str, default: Any) -> Any:
    if not key.startswith("["):
        if target.get(key) is None:
            target[key] = default
        return target[key]
    name = key.strip("[]")
    found = [item for item in target if item["name"] == name]
    if not found:
        target.append({"name": name})
        found = target[-1:]
    return found[0]


def _named(item: Any) -> bool:
    return isinstance(item, dict) and "name" in item
