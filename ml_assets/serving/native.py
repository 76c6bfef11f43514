"""``POST /models/{name}/predict``: rows in, one prediction each out."""

from ml_assets.serving.messages import JSON, Request, Response
from ml_assets.serving.metrics import Series
from ml_assets.serving.router import Scored, ServedModel


def predict(model: ServedModel, series: Series, request: Request) -> Response:
    """Answer one request.

    The answer holds ``model``, ``version``, ``arm``, ``request_id``, and
    ``predictions``: for each row ``id``, the ``probability`` of the positive class, and
    the ``label``, which is the positive class above one half.
    """
    arm = model.choose()
    scored = arm.score(arm.decoder.decode(request.body), request.request_id)
    return Response(encode(scored), 200, JSON, scored.batch.size, series)


def encode(scored: Scored) -> bytes:
    """The JSON of an answer.

    Written out, because building dictionaries for an encoder takes three times as long.
    No text needs escaping but the labels, and those are escaped once per plan.
    """
    arm = scored.arm
    labels = arm.label_texts
    predictions = ",".join(
        [
            f'{{"id":"{id_}","probability":{value!r},"label":{labels[value > 0.5]}}}'
            for id_, value in zip(scored.ids, scored.probabilities, strict=True)
        ]
    )
    return (
        f'{{"model":"{arm.model}","version":"{arm.version}","arm":"{arm.mode}",'
        f'"request_id":"{scored.request_id}","predictions":[{predictions}]}}'
    ).encode()
