"""``GET /models/{name}``: a model, its plan and its schema."""

from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.openapi.schemas import example


def describe(model: ServedModel) -> dict[str, object]:
    """A model, its plan and its schema, for people and clients."""
    live = model.live
    signature = live.signature
    samples = example(signature)
    return {
        "name": model.name,
        "version": live.version,
        "generation": model.plan.generation,
        "experiment": model.plan.experiment,
        "arms": [
            {
                "version": arm.version,
                "mode": arm.mode,
                "share": arm.share,
                "runtime": arm.runtime.kind,
            }
            for arm in model.arms
        ],
        "target": signature.target,
        "task": signature.task,
        "classes": signature.labels,
        "positive": signature.positive,
        "negative": signature.negative,
        "threshold": signature.threshold if signature.task == "binary" else None,
        "interval": signature.interval,
        "columns": [
            {
                "name": column.name,
                "kind": column.kind,
                "nullable": column.nullable,
                "categories": column.listed,
                "open": column.open,
                "optional": column.optional,
                "ignored": column.ignored,
                "example": samples.get(column.name),
            }
            for column in signature.columns
        ],
    }
