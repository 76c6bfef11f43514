"""``POST /models/{name}/predict``: rows in, one prediction each out."""

from ml_assets.serving.counting import ArmSeries
from ml_assets.serving.messages import Request, Response
from ml_assets.serving.router import Scored, ServedModel


def predict(model: ServedModel, series: ArmSeries, request: Request) -> Response:
    """Answer one request.

    The answer holds ``model``, ``version``, ``arm``, ``request_id``, and
    ``predictions``: for each row ``id``, the ``probability`` of the positive class, and
    the ``label``, which is the positive class above one half. Where the plan splits the
    traffic each prediction has its ``version`` and ``arm``, and those of the answer are
    null if its rows went to several.
    """
    scored = model.answer(model.live.decoder.decode(request.body), request)
    return series.response(scored, encode(scored))


def encode(scored: Scored) -> bytes:
    """The JSON of an answer.

    Written out, because building dictionaries for an encoder takes three times as long.
    No text needs escaping but the labels, and those are escaped once per plan.
    """
    arm, arms = scored.only_arm, scored.arms
    labels = scored.arm.label_texts
    if arms is None:
        predictions = ",".join(
            [
                f'{{"id":"{id_}","probability":{p!r},"label":{labels[p > 0.5]}}}'
                for id_, p in zip(scored.ids, scored.probabilities, strict=True)
            ]
        )
    else:
        predictions = ",".join(
            [
                f'{{"id":"{id_}","probability":{p!r},"label":{labels[p > 0.5]},'
                f'"version":"{own.version}","arm":"{own.mode}"}}'
                for id_, p, own in zip(
                    scored.ids, scored.probabilities, arms, strict=True
                )
            ]
        )
    named = f'"{arm.version}","arm":"{arm.mode}"' if arm else 'null,"arm":null'
    return (
        f'{{"model":"{scored.arm.model}","version":{named},'
        f'"request_id":"{scored.request_id}","predictions":[{predictions}]}}'
    ).encode()
