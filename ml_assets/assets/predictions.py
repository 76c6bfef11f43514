"""``<model>/predictions`` and ``<model>/labels``: what servers logged, as Parquet."""

from typing import Any

import dagster as dg

from ml_assets.assets.common import stage_arguments
from ml_assets.core.files import home
from ml_assets.core.storage import storage
from ml_assets.lifecycle.compaction import Compacted, compact
from ml_assets.prediction_log.segments import Kind
from ml_assets.spec.model import ModelSpec


def build(spec: ModelSpec) -> dg.Definitions:
    """The two assets that compact shipped segments."""

    @dg.asset(
        **stage_arguments(spec, "predictions", "parquet"),
        description=f"Every logged prediction of {spec.name}, by the day of its id.",
    )
    def predictions(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _compacted(context, spec, "predictions")

    @dg.asset(
        **stage_arguments(spec, "labels", "parquet"),
        description=f"What turned out, for predictions of {spec.name}.",
    )
    def labels(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _compacted(context, spec, "labels")

    return dg.Definitions(assets=[predictions, labels])


def _compacted(
    context: dg.AssetExecutionContext, spec: ModelSpec, kind: Kind
) -> dg.MaterializeResult:
    from ml_assets.serving.log.shipping import adopt

    # A server that was killed ships nothing; its open segments are adopted.
    adopted = adopt(home(), storage(), spec.name)
    if adopted.names:
        number = len(adopted.names)
        context.log.info(f"took over {number} segment(s) of servers that died")
    for failure in adopted.failures:
        context.log.warning(f"a segment of a server that died stays there: {failure}")
    done = compact(spec.name, kind)
    if done.unreadable:
        context.log.warning(f"{done.unreadable} line(s) could not be read")
    if done.ahead:
        context.log.warning(
            f"{done.ahead} row(s) are dated ahead of this machine's clock, which"
            " counts: the clock of a server, or this one, is wrong"
        )
    return dg.MaterializeResult(metadata=describe(done))


def describe(done: Compacted) -> dict[str, Any]:
    """What the UI shows of a compaction."""
    return {
        "new_rows": done.rows,
        "segments": done.segments,
        "unreadable_lines": done.unreadable,
        "files": dg.MetadataValue.json(list(done.files)),
    }
