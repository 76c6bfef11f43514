"""``<model>/features``, each part of the raw table prepared by a step of its own."""

from typing import Any

import dagster as dg

from ml_assets.assets.common import TABLES, key, stage_arguments
from ml_assets.assets.features_table import feature_arguments, finish, refusing_features
from ml_assets.assets.steps import each, says, step_arguments
from ml_assets.assets.validation import refuse_failed
from ml_assets.core.storage import storage_root
from ml_assets.lifecycle.feature_table import columns_to_keep, hold_out, without
from ml_assets.spec.model import ModelSpec
from ml_assets.state.tables import DATA_VERSION, TableStore, runs_of

STAGE = "features_parts"


def features(spec: ModelSpec) -> dg.AssetsDefinition:
    """The asset: find the parts, prepare each, and make one table of them.

    The table, and with it the data version, is that of preparing all rows at once.
    """
    find, prepare, join = _find(spec), _prepare(spec), _join(spec)

    @dg.graph_asset(
        **stage_arguments(spec, "features", "pandas"),
        **feature_arguments(spec),
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
        out=dg.DynamicOut(**says(spec)),
    )
    def find(context: dg.OpExecutionContext) -> Any:
        from ml_assets.ml.cleaning import integral_columns

        store = TableStore(storage_root())
        version = store.version(spec.name, "raw", *runs_of(context.run))
        refuse_failed(spec.name, version)
        # Whether a column holds whole numbers only is seen in all rows together.
        wanted = store.columns(spec.name, "raw", version) & {*spec.features.categorical}
        some = store.read(spec.name, "raw", version, sorted(wanted))
        common = {"raw": version, "whole": integral_columns(some, spec.features)}
        numbers = range(store.parts(spec.name, "raw", version))
        yield from each(("", {**common, "number": number}) for number in numbers)

    return find


def _prepare(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(
        **step_arguments(spec, "features_prepare"),
        description="One part of the rows, kept under the hash of its content.",
        out=dg.Out(**says(spec)),
    )
    def prepare(context: dg.OpExecutionContext, part: dict[str, Any]) -> Any:
        from ml_assets.ml.prepare import prepare_part
        from ml_assets.ml.tables import content_hash

        store, keep = TableStore(storage_root()), columns_to_keep(spec)
        rows = store.read_part(spec.name, "raw", part["raw"], part["number"])
        with refusing_features():
            table, lost = prepare_part(
                rows, without(spec, keep), spec.target, part["whole"], keep
            )
        table.attrs[DATA_VERSION] = content_hash(table)
        mark = f"{context.run_id}-{context.get_mapping_key()}"
        store.write(spec.name, STAGE, mark, table)
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
        from ml_assets.state.classes import pinned_classes

        store, keep = TableStore(storage_root()), columns_to_keep(spec)
        tables = [
            (store.read(spec.name, STAGE, part[DATA_VERSION]), part["lost"])
            for part in sorted(parts, key=lambda part: part["number"])
        ]
        features = without(spec, keep)
        with refusing_features():
            prepared = join_prepared(
                tables,
                features,
                spec.target,
                spec.positive,
                keep,
                pinned_classes(spec),
            )
            raw = parts[0]["raw"]
            table, notes = hold_out(spec, prepared, store.read(spec.name, "raw", raw))
        metadata = finish(context.log, table, notes, raw)
        return dg.Output(
            table,
            data_version=dg.DataVersion(table.attrs[DATA_VERSION]),
            metadata={**metadata, "parts": len(tables)},
        )

    return join
