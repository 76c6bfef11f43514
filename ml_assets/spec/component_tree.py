"""Loading ``defs/`` where a part of it is broken: the rest loads, with the reasons.

Dagster loads all definitions or none. A model that cannot be built must not keep the
others from training, and is shown in the UI with its reason.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster.components.core.component_tree import ComponentTree
from dagster.components.core.decl import (
    DefsFolderDecl,
    YamlFileDecl,
    build_component_decl_from_yaml_document,
    build_filesystem_component_decl_from_context,
)
from dagster.components.core.defs_module import ComponentPath
from dagster_shared.yaml_utils import parse_yamls_with_source_position

from ml_assets.spec import model_file
from ml_assets.spec.loading import describe, without_collector, without_warnings
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.model_file import ModelFileError

_LOGGER = logging.getLogger("ml_assets")

# A document of a YAML file: its folder, and its number, from 0.
DocumentId = tuple[Path, int]
# Adds to the definitions of models what they share; it is given the models, too.
Completed = Callable[[dg.Definitions, list[ModelSpec]], dg.Definitions]


class CompletedTree(ComponentTree):
    """A tree that is loaded here: `Completed` adds the sensors, over all models."""


def load(project: Path, completed: Completed) -> dg.Definitions:
    """The definitions of the project there, `completed`, and what is broken.

    A model whose YAML is wrong, or whose definitions cannot be built, or that shares a
    name with another, is an asset ``<folder>/broken``, described by the reason.
    """
    with without_collector():
        return _load(project, completed)


def _load(project: Path, completed: Completed) -> dg.Definitions:
    top = ComponentTree.for_project(project).defs_module_path
    # Dagster's own load checks what a file means, but for keys that are there twice, of
    # which it takes the last.
    if not _wrong_documents(top, with_meaning=False):
        try:
            return _whole(project, completed)
        except Exception:  # which of them it was, and why, is found below
            _LOGGER.debug("the definitions do not load together", exc_info=True)
    broken = _wrong_documents(top)
    with without_warnings():
        try:
            found = _without(project, broken, completed)
        except Exception:  # a fault that only building shows; each is built alone
            _PartialTree(project, broken).sort_out(completed)
            found = _without(project, broken, completed)
    for (folder, _), reason in broken.items():
        _LOGGER.error("%s is broken and left out: %s", folder, reason)
    return found


def _whole(project: Path, completed: Completed) -> dg.Definitions:
    """As `dagster.load_from_defs_folder`, which walks the tree once for each model."""
    tree = CompletedTree.for_project(project)
    declared = tree.find_root_decl().iterate_loc_component_decl_pairs()
    for location, declaration in declared:
        tree.state_tracker.set_cache_data(location, component_decl=declaration)
    with without_warnings():
        found = completed(tree.build_defs(), _specs(tree))
    return _kept(found)


def _kept(found: dg.Definitions) -> dg.Definitions:
    """The same, with what Dagster makes of it and keeps."""
    describe(found.get_repository_def())
    return found


def load_folders(
    project: Path, folders: Collection[Path], completed: Completed
) -> dg.Definitions:
    """The definitions of the project's models in `folders`, `completed`.

    Raises
    ------
    Exception
        Whatever is wrong with them.
    """
    with without_warnings():
        tree = _PartialTree(project, {}, folders).tree
        return completed(tree.build_defs(), _specs(tree))


def _specs(tree: ComponentTree | None) -> list[ModelSpec]:
    if tree is None:
        return []
    return cast(list[ModelSpec], tree.get_all_components(of_type=cast(Any, ModelSpec)))


def _without(
    project: Path, broken: dict[DocumentId, str], completed: Completed
) -> dg.Definitions:
    """All but what is broken, which is shown instead."""
    tree = _PartialTree(project, broken).tree
    top = tree.defs_module_path
    shown = [
        _broken_asset(top, document, reason)
        for document, reason in sorted(broken.items())
    ]
    models = dg.Definitions.merge(tree.build_defs(), dg.Definitions(assets=shown))
    return _kept(completed(models, _specs(tree)))


def component(folder: Path, number: int) -> dg.Component:
    """The component that a document declares, with its templates resolved."""
    partial = _PartialTree(folder, _wrong_documents(folder))
    return partial.tree.load_component(partial.documents[folder, number].loc)


def _wrong_documents(top: Path, with_meaning: bool = True) -> dict[DocumentId, str]:
    """What the reader of models finds wrong in the YAML, and in what it means."""
    found: dict[DocumentId, str] = {}
    for file in model_file.files(top):
        try:
            for document in model_file.read(file):
                is_checked = with_meaning and document.is_model
                problems = model_file.problems(document) if is_checked else []
                if problems:
                    found[file.parent, document.number] = "\n".join(map(str, problems))
        except ModelFileError as error:
            found[file.parent, 0] = str(error)
    return found


class _PartialTree:
    """A tree of components that leaves out what is broken, and notes what is.

    Where `folders` are given, it has nothing but what is in them.
    """

    def __init__(
        self,
        project: Path,
        broken: dict[DocumentId, str],
        folders: Collection[Path] = (),
    ) -> None:
        self.broken = broken
        self._folders = folders
        self.documents: dict[DocumentId, Any] = {}
        self.tree = CompletedTree.for_project(project)
        location = ComponentPath.from_path(self.tree.defs_module_path)
        context = self.tree.decl_load_context.for_component_loc(location)
        declared = self._declare(context) or _folder(context, {})
        self.tree.state_tracker.set_cache_data(location, component_decl=declared)

    def sort_out(self, completed: Completed) -> None:
        """Note each document that cannot be built, alone or beside the others."""
        names: dict[str, list[DocumentId]] = defaultdict(list)
        of_all = _names(completed(dg.Definitions(), []))
        for document, declared in self.documents.items():
            try:
                built = self.tree.build_defs_at_path(declared.loc)
                own = _names(completed(built, [])) - of_all
            except Exception as error:  # whatever it is, it is this document's
                self.broken[document] = _reason(error)
                continue
            for name in own:
                names[name].append(document)
        for name, documents in sorted(names.items()):
            if len(documents) > 1:
                folders = ", ".join(str(folder) for folder, _ in sorted(documents))
                reason = f"{name} is defined by each of {folders}"
                for document in documents:
                    self.broken.setdefault(document, reason)

    def _declare(self, context: Any) -> Any:
        """The declaration of a file or folder, or None where nothing is left of it."""
        path = context.path
        file = model_file.of_folder(path) if path.is_dir() else None
        if file:
            return self._declare_file(context, file)
        if not path.is_dir():
            return build_filesystem_component_decl_from_context(context)
        children = {}
        for below in sorted(path.iterdir()):
            if self._has(below) and not model_file.is_ignored(below):
                location = ComponentPath.from_path(below)
                declared = self._declare(context.for_component_loc(location))
                if declared:
                    children[below] = declared
        return _folder(context, children) if children else None

    def _has(self, path: Path) -> bool:
        """Whether `path` is on the way to one of the folders, or in it."""
        return not self._folders or any(
            folder.is_relative_to(path) or path.is_relative_to(folder)
            for folder in self._folders
        )

    def _declare_file(self, context: Any, file: Path) -> Any:
        text = file.read_text(encoding="utf-8", errors="replace")
        try:
            sources = parse_yamls_with_source_position(text, str(file))
        except Exception as error:  # no YAML: the reader of models has given the reason
            self.broken.setdefault((file.parent, 0), _reason(error))
            return None
        kept = []
        for number, source in enumerate(sources):
            document = (file.parent, number)
            location = ComponentPath.from_path(context.path, number)
            if document in self.broken:
                continue
            try:
                declared = build_component_decl_from_yaml_document(
                    context=context.for_component_loc(location),
                    source_tree=source,
                    path=location,
                )
            except Exception as error:  # an unknown type or key of Dagster's own
                self.broken[document] = _reason(error)
                continue
            self.documents[document] = declared
            kept.append((declared, source.source_position_tree.position))
        if not kept:
            return None
        return YamlFileDecl(
            loc=ComponentPath.from_path(context.path),
            context=context,
            decls=[cast(Any, declared) for declared, _ in kept],
            source_positions=[position for _, position in kept],
        )


def _folder(context: Any, children: dict[Path, Any]) -> DefsFolderDecl:
    return DefsFolderDecl(
        context=context,
        loc=ComponentPath.from_path(context.path),
        children=children,
        source_tree=None,
        component_file_model=None,
    )


def _names(found: dg.Definitions) -> set[str]:
    """What of `found` must have its name alone in a code location."""
    keys = found.get_repository_def().asset_graph.get_all_asset_keys()
    named = [
        f"{kind[:-1]} {item.name}"
        for kind in ("jobs", "schedules", "sensors")
        for item in getattr(found, kind) or ()
    ]
    return {*named, *(f"asset {key.to_user_string()}" for key in keys)}


def _reason(error: BaseException) -> str:
    """What went wrong first, without the tree of components that Dagster draws."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip() or type(error).__name__


def _broken_asset(top: Path, document: DocumentId, reason: str) -> dg.AssetSpec:
    """What the UI shows instead of a broken model."""
    folder, number = document
    parts = folder.relative_to(top).parts or (top.name,)
    name = "broken" if number == 0 else f"broken_{number + 1}"
    # Code, so that no character of it is taken for markup; the UI wraps it.
    lines = reason.replace(f"{top}/", "").splitlines()
    listed = "\n".join(f"- `` {line.strip()} ``" for line in lines if line.strip())
    return dg.AssetSpec(
        key=[*parts, name],
        group_name=re.sub(r"\W", "_", "_".join(parts)),
        kinds={"yaml"},
        description=(
            f"This model cannot be loaded, so that nothing of it runs:\n\n{listed}\n\n"
            "Mend the file, ask `dg check yaml`, and reload the code location. What"
            " serves goes on serving."
        ),
    )
