"""``<model>/features``: the rows as training sees them, made at once or in parts."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.assets.common import (
    TABLES,
    Events,
    key,
    notes_metadata,
    skipped,
    stage_arguments,
    table_metadata,
)
from ml_assets.assets.io_managers import runs_of
from ml_assets.assets.retries import failing_on
from ml_assets.assets.steps import fan_out, step_arguments, step_output
from ml_assets.assets.validation import refuse_failed
from ml_assets.core import provenance
from ml_assets.lifecycle.feature_table import (
    columns_to_keep,
    feature_table,
    hold_out,
    without,
)
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT
from ml_assets.state.tables import DATA_VERSION, MADE_OF, Tables

if TYPE_CHECKING:
    import pandas as pd

# Tables of single parts, between the steps that prepare and join them.
PARTS = "features_parts"


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that drops, retypes, derives and splits."""
    # Test rows of another source have no part to go with.
    in_parts = spec.source.parallel and spec.split.source is None
    asset = _features_of_parts(spec) if in_parts else _features(spec)
    return dg.Definitions(assets=[asset])


def _features(spec: ModelSpec) -> Any:
    @dg.asset(
        **_arguments(spec),
        description=(
            f"Rows of {spec.name} with their derived columns, and which of them are"
            " held out to test."
        ),
        ins={"raw": dg.AssetIn(key(spec, "raw"), input_manager_key=TABLES)},
        io_manager_key=TABLES,
        output_required=False,
    )
    def features(context: dg.AssetExecutionContext, raw: Any) -> Events:
        if raw is None:
            yield skipped(
                spec, "features", f"no data of {spec.name}/raw was accepted yet"
            )
            return
        version = str(raw.attrs[DATA_VERSION])
        refuse_failed(spec.name, version)
        with _failing_on_bad_features():
            table, notes = feature_table(spec, raw)
        metadata = _named(context.log, table, notes, version)
        yield dg.MaterializeResult(
            value=table,
            data_version=dg.DataVersion(table.attrs[DATA_VERSION]),
            metadata=metadata,
        )

    return features


def _features_of_parts(spec: ModelSpec) -> dg.AssetsDefinition:
    """The asset as steps: find the parts, prepare each, and make one table of them.

    The table, and with it the data version, is that of preparing all rows at once.
    """
    find, prepare, join = _find(spec), _prepare(spec), _join(spec)

    @dg.graph_asset(
        **_arguments(spec),
        description=(
            f"Rows of {spec.name} with their derived columns, each part made by a step"
            " of its own, and which of them are held out to test."
        ),
        ins={"raw": dg.AssetIn(key(spec, "raw"))},
    )
    def features(raw: Any) -> Any:
        return join(find(raw).map(prepare).collect())

    return features


def _find(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(
        **step_arguments(spec, "features_find"),
        description="The parts of the raw table.",
        ins={"raw": dg.In(dg.Nothing)},
        out=dg.DynamicOut(**step_output(spec)),
    )
    def find(context: dg.OpExecutionContext) -> Any:
        from ml_assets.ml.cleaning import integral_columns

        store = Tables()
        version = store.version(spec.name, "raw", *runs_of(context.run))
        refuse_failed(spec.name, version)
        # Whether a column holds whole numbers only is seen in all rows together.
        wanted = store.columns(spec.name, "raw", version) & {*spec.features.categorical}
        some = store.read(spec.name, "raw", version, sorted(wanted))
        common = {"raw": version, "whole": integral_columns(some, spec.features)}
        numbers = range(store.parts(spec.name, "raw", version))
        yield from fan_out(("", {**common, "number": number}) for number in numbers)

    return find


def _prepare(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(
        **step_arguments(spec, "features_prepare"),
        description="One part of the rows, stored under the hash of its content.",
        out=dg.Out(**step_output(spec)),
    )
    def prepare(context: dg.OpExecutionContext, part: dict[str, Any]) -> Any:
        from ml_assets.ml.prepare import prepare_part
        from ml_assets.ml.tables import content_hash

        store, keep = Tables(), columns_to_keep(spec)
        rows = store.read_part(spec.name, "raw", part["raw"], part["number"])
        with _failing_on_bad_features():
            table, lost = prepare_part(
                rows, without(spec, keep), spec.target, part["whole"], keep
            )
        table.attrs[DATA_VERSION] = content_hash(table)
        mark = f"{context.run_id}-{context.get_mapping_key()}"
        store.write(spec.name, PARTS, mark, table)
        context.add_output_metadata({"rows": len(table)})
        version = table.attrs[DATA_VERSION]
        same = {name: part[name] for name in ("number", "raw")}
        return {**same, DATA_VERSION: version, "lost": lost}

    return prepare


def _join(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(
        **step_arguments(spec, "features_join"),
        description="The rows of all parts, and which of them are held out to test.",
        out=dg.Out(io_manager_key=TABLES),
    )
    def join(
        context: dg.OpExecutionContext, parts: list[dict[str, Any]]
    ) -> dg.Output[Any]:
        from ml_assets.ml.prepare import join_prepared
        from ml_assets.state.pinned import pinned_task

        store, keep = Tables(), columns_to_keep(spec)
        tables = [
            (store.read(spec.name, PARTS, part[DATA_VERSION]), part["lost"])
            for part in sorted(parts, key=lambda part: part["number"])
        ]
        with _failing_on_bad_features():
            prepared = join_prepared(
                tables,
                without(spec, keep),
                spec.target,
                spec.positive,
                keep,
                pinned_task(spec),
                spec.task,
                spec.classes,
            )
            raw = parts[0]["raw"]
            table, notes = hold_out(spec, prepared, store.read(spec.name, "raw", raw))
        metadata = _named(context.log, table, notes, raw)
        return dg.Output(
            table,
            data_version=dg.DataVersion(table.attrs[DATA_VERSION]),
            metadata={**metadata, "parts": len(tables)},
        )

    return join


def _arguments(spec: ModelSpec) -> dict[str, Any]:
    """Arguments of the asset, whether it is made at once or in parts."""
    lineage = _column_lineage(spec)
    return {
        **stage_arguments(spec, "features", "pandas"),
        "code_version": provenance.spec_hash(spec, "features", "split", "target")[:12],
        "metadata": {"dagster/column_lineage": lineage} if lineage else {},
    }


def _column_lineage(spec: ModelSpec) -> dg.TableColumnLineage | None:
    from ml_assets.core.expressions.expression import Expression

    raw = key(spec, "raw")
    found = {
        name: [
            dg.TableColumnDep(raw, column) for column in Expression.parse(text).columns
        ]
        for name, text in spec.features.derive.items()
    }
    return dg.TableColumnLineage(found) if found else None


def _failing_on_bad_features() -> AbstractContextManager[None]:
    """Columns that do not fit the YAML fail the run."""
    from ml_assets.ml.cleaning import FeatureError
    from ml_assets.ml.row_identity import IdentityError
    from ml_assets.ml.split import SplitError

    return failing_on(FeatureError, IdentityError, SplitError)


def _named(
    log: Any, table: "pd.DataFrame", notes: list[str], raw_version: str
) -> dict[str, Any]:
    """Name content and origin of a feature table in its ``attrs``; its metadata."""
    from ml_assets.ml.tables import content_hash

    for note in notes:
        log.warning(note)
    table.attrs |= {DATA_VERSION: content_hash(table), MADE_OF: raw_version}
    return {
        **table_metadata(table),
        "raw_version": raw_version,
        "held_out_rows": int(table[HELD_OUT].sum()),
        "notes": notes_metadata(notes),
    }
