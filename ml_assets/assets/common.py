"""Keys, arguments and metadata that all stages share."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from ml_assets.core.storage import storage
from ml_assets.spec.model import ModelSpec

TRAIN_STAGES = ("raw", "features", "model", "evaluation")
DEPLOY_STAGES = ("deployment", "monitoring")
# Keys of the IO managers, which no other of a code location has.
TABLES = "ml_assets_tables"
STEPS = "ml_assets_steps"

# Arguments of ``dg.asset`` for a stage that returns nothing and may find nothing to do.
MAY_SKIP: dict[str, Any] = {"dagster_type": dg.Nothing, "output_required": False}

# Kind of actor to the tag of a run that names it.
ACTORS = {
    "sensor": "dagster/sensor_name",
    "schedule": "dagster/schedule_name",
    "user": "user",
}

# What the function of such an asset may yield.
Events = Iterator[dg.MaterializeResult | dg.AssetObservation | dg.AssetCheckResult]


def key(spec: ModelSpec, stage: str) -> dg.AssetKey:
    """Key of one stage of a model: ``<model>/<stage>``."""
    return dg.AssetKey([spec.name, stage])


def skipped(spec: ModelSpec, stage: str, reason: str) -> dg.AssetObservation:
    """What an asset yields instead of itself where there is nothing to do."""
    return dg.AssetObservation(key(spec, stage), metadata={"skipped": reason})


def check_spec(spec: ModelSpec, stage: str, description: str) -> dg.AssetCheckSpec:
    """The check of a stage that has its name."""
    return dg.AssetCheckSpec(stage, asset=key(spec, stage), description=description)


def check_result(
    spec: ModelSpec, stage: str, passed: bool, description: str
) -> dg.AssetCheckResult:
    """The result of that check: not passed is a warning, and no failed run."""
    return dg.AssetCheckResult(
        check_name=stage,
        asset_key=key(spec, stage),
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
    )


def nothing_to_do(
    context: dg.AssetExecutionContext, spec: ModelSpec, stage: str, reason: str
) -> Events:
    """The events of a stage that has a check and nothing new to look at."""
    context.log.info(reason)
    yield skipped(spec, stage, reason)
    yield check_result(spec, stage, True, reason)


def stage_arguments(spec: ModelSpec, stage: str, *kinds: str) -> dict[str, Any]:
    """Arguments of ``dg.asset`` that all stages share."""
    return {
        "key": key(spec, stage),
        "group_name": spec.name,
        "owners": spec.owners or None,
        "kinds": {*kinds},
        "tags": {"model": spec.name, "stage": stage},
    }


def who_runs(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> str:
    """Who a run acts for: its sensor, schedule or user, and its id."""
    tags = context.run.tags
    for kind, tag in ACTORS.items():
        if tag in tags:
            return f"{kind} {tags[tag]}, run {context.run.run_id}"
    return f"run {context.run.run_id}"


def column_schema(columns: dict[str, str]) -> dg.TableSchema:
    """Column name to type as Dagster shows it."""
    return dg.TableSchema(
        [dg.TableColumn(name, kind) for name, kind in columns.items()]
    )


def notes_metadata(notes: Iterable[str]) -> dg.MetadataValue[Any]:
    """Sentences as a list."""
    return dg.MetadataValue.md("\n".join(f"- {note}" for note in notes))


def table_metadata(frame: Any) -> dict[str, Any]:
    """Row count and column schema of a pandas table; its rows are in the storage."""
    kinds = {str(name): str(kind) for name, kind in frame.dtypes.items()}
    return {
        "dagster/row_count": len(frame),
        "dagster/column_schema": column_schema(kinds),
    }


def markdown_table(frame: Any) -> str:
    """A small pandas table as Markdown."""

    def line(cells: Any) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    rows = [line(row) for row in frame.itertuples(index=False)]
    return "\n".join([line(frame.columns), line("---" for _ in frame.columns), *rows])


def object_metadata(name: str) -> dg.MetadataValue:
    """Where an object of the storage is: a path, or the URL that the object has."""
    path = storage().local(name)
    if path is not None:
        return dg.MetadataValue.path(str(path))
    return dg.MetadataValue.text(f"{storage().url}/{name}")


def keep_plots(about: str, images: Mapping[str, bytes]) -> dict[str, Any]:
    """Store PNGs as objects, and return where they are as metadata.

    Images in the metadata itself would be in the event log for ever.

    Parameters
    ----------
    about : str
        Beginning of their names; what removes what is called so removes them.
    images : dict of str to bytes
        Name of a plot to its PNG. One that is there is replaced.
    """
    found = {}
    for name, png in images.items():
        item = f"{about}{name}.png"
        storage().put(item, png)
        found[f"plot_{name}"] = object_metadata(item)
    return found
