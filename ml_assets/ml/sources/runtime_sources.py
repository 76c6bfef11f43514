"""Which sources a run may read instead of that of its model's YAML.

Who writes the YAML is trusted with the variables and the network of the code location;
who fills in a launchpad only with what the YAML lets them choose.
"""

import contextlib
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ml_assets.core.files import home
from ml_assets.core.storage import storage
from ml_assets.spec.source import SourceSpec

# Variables that a run's source may name: whoever sets one knows what it is for.
PREFIX = "ML_ASSETS_SOURCE_"
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_MARKS = re.compile(r"[*?\[]")
_PORTS = {"http": 80, "https": 443}
_HARMLESS = ("sklearn", "synthetic")


def refusal(source: SourceSpec, yaml: SourceSpec, permitted: Sequence[str]) -> str:
    """Why a run may not read `source`; empty where it may.

    A run may read what ships with the platform; files below the working directory or
    below the directory of the YAML's own source, hidden ones and the platform's own
    left out; addresses on the host of the YAML's own source; what begins with one of
    `permitted`. It may name no variable but those that begin with `PREFIX`.

    Parameters
    ----------
    source : SourceSpec
        What the run gave.
    yaml : SourceSpec
        The model's own source.
    permitted : sequence of str
        ``runtime_sources`` of the YAML: ``sql``, ``kaggle``, or the beginning of a path
        or an address, such as ``s3://lake/customers/``.

    Examples
    --------
    >>> own = SourceSpec(type="http", url="https://data.example/may.csv")
    >>> refusal(SourceSpec(type="http", url="https://data.example/june.csv"), own, [])
    ''
    >>> refusal(SourceSpec(type="http", url="http://169.254.169.254/"), own, [])
    "it is none that the model's YAML permits: runtime_sources may name its beginning"
    """
    if source == yaml or source.type in _HARMLESS:
        return ""
    if source.type == "python":
        return "a function is called only where the model's YAML names it"
    for name in sorted(_variables(_own_texts(source, yaml))):
        if not re.fullmatch(rf"{PREFIX}[A-Z0-9_]+", name):
            return (
                f"it names the variable {ascii(name[:80])}, and may only name those"
                f" that begin with {PREFIX}"
            )
    if source.type in ("sql", "kaggle"):
        # The credentials are the YAML's: they go to nobody else.
        is_same = source.url == yaml.url and source.type == yaml.type
        if source.type in permitted and (is_same or source.type == "kaggle"):
            return ""
        return (
            f"a source of type {source.type} is read only where the model's YAML has"
            f" {source.type} under runtime_sources"
            + (", and the url of its own source" if source.type == "sql" else "")
        )
    location = _expanded(source.path or source.url)
    if any(_is_below(location, _expanded(beginning)) for beginning in permitted):
        return ""
    if source.type == "http":
        own = _origin(_expanded(yaml.url))
        is_permitted = yaml.type == "http" and _origin(location) == own
    else:
        is_permitted = _is_own_file(location, _expanded(yaml.path))
    if is_permitted:
        return ""
    return (
        "it is none that the model's YAML permits: runtime_sources may name its"
        " beginning"
    )


def _own_texts(source: SourceSpec, yaml: SourceSpec) -> dict[str, Any]:
    """What the run gave that is not in the YAML to the letter."""
    given = source.model_dump(exclude_unset=True)
    if source.type != yaml.type:
        return given
    same = yaml.model_dump()
    return {name: item for name, item in given.items() if item != same[name]}


def _variables(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _VARIABLE.findall(value)
    elif isinstance(value, dict):
        yield from _variables([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _variables(item)


def _expanded(text: str | None) -> str:
    """A text with the variables that are set filled in; never to be shown."""
    return _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), text or "")


def _is_own_file(location: str, own: str) -> bool:
    """Whether it is below the directory of the YAML's source, or the working one."""
    directory = _fixed(own).rpartition("/")[0] if "/" in own else "."
    if "://" in location:
        # The root of a store is everybody's.
        is_below = urlsplit(directory).path.strip("/") and _is_below(
            location, directory
        )
        return bool(is_below) and not _reaches_storage(location, directory)
    tops = [Path.cwd().resolve()]
    if own and "://" not in own:
        tops.append(Path(directory).resolve())
    return any(_are_below(location, top, is_public=True) for top in tops)


def _reaches_storage(location: str, top: str) -> bool:
    """Whether an address names objects of the storage, which does not hold `top`."""
    kept = storage().url
    if "://" not in kept or _is_below(top, kept):
        return False
    # A directory is read with all that is below it.
    is_deep = "**" in location or not _MARKS.search(location)
    is_above = is_deep and _is_below(kept, _fixed(location))
    return is_above or _is_below(location, kept)


def _fixed(location: str) -> str:
    """A path up to the directory that has its first mark of a glob."""
    mark = _MARKS.search(location)
    return location[: location.rfind("/", 0, mark.start()) + 1] if mark else location


def _are_below(location: str, top: Path, is_public: bool = False) -> bool:
    """Whether all files that a local path or glob names are below `top`.

    What is `is_public` has no hidden part below it, and nothing of the storage, unless
    the storage holds `top` itself.
    """
    if ".." in Path(location).parts or "::" in location:
        return False
    kept = [item.resolve() for item in (home(), storage().root) if item and is_public]
    kept = [item for item in kept if not top.is_relative_to(item)]
    # A link, or a mark that matches a dot, may lead elsewhere than the text.
    for found in (Path(_fixed(location)).resolve(), *_matches(location)):
        if not found.is_relative_to(top):
            return False
        hidden = any(part.startswith(".") for part in found.relative_to(top).parts)
        if is_public and hidden or any(found.is_relative_to(item) for item in kept):
            return False
    return True


def _matches(location: str) -> list[Path]:
    """Where the files of a path, a glob or a directory are, as they are read."""
    from fsspec.implementations.local import (  # type: ignore[import-untyped]
        LocalFileSystem,
    )

    from ml_assets.ml.sources.files import list_files
    from ml_assets.ml.tables import SourceError

    system = LocalFileSystem()
    root = system._strip_protocol(location)
    # What the reader would leave out, as hidden, is asked for all the same.
    found = system.glob(location) if _MARKS.search(location) else []
    with contextlib.suppress(SourceError):  # the reader's own reason why it has none
        found += list_files(system, root, "parquet").paths
    return [Path(item).resolve() for item in found]


def _is_below(location: str, beginning: str) -> bool:
    """Whether a path or an address begins with another, taken apart and not as text."""
    if not beginning or "::" in location:
        return False
    if "://" not in beginning:
        return "://" not in location and _are_below(location, Path(beginning).resolve())
    if "://" not in location or _origin(location) != _origin(beginning):
        return False
    found, within = _path(location), _path(beginning)
    return found == within or found.startswith(within.rstrip("/") + "/")


def _path(address: str) -> str:
    found = _split(address)
    # A server may decode once more than we do: two dots never lead anywhere.
    text = unquote(unquote(found.path)) if found else "/.."
    return "/.." if ".." in text.split("/") else posixpath.normpath(f"/{text}")


def _origin(address: str) -> tuple[str, str, int | None, str] | None:
    found = _split(address)
    if found is None or not found.scheme:
        return None
    try:
        port = found.port or _PORTS.get(found.scheme)
    except ValueError:
        return None
    return found.scheme, (found.hostname or ""), port, found.netloc.rpartition("@")[0]


def _split(address: str) -> SplitResult | None:
    # Programs disagree on what these mean inside of an address.
    if re.search(r"[\s\\]", address) or "#" in address:
        return None
    try:
        return urlsplit(address)
    except ValueError:
        return None
