"""``POST /models/{name}/predict``: rows in, one prediction each out."""

from ml_assets.serving.models.arms import Scored
from ml_assets.serving.models.router import ArmSeries, ServedModel
from ml_assets.serving.requests.messages import Request, Response


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
    named = f'"{arm.version}","arm":"{arm.mode}"' if arm else 'null,"arm":null'
    head = (
        f'{{"model":"{scored.arm.model}","version":{named},'
        f'"request_id":"{scored.request_id}","predictions":['
    )
    if scored.batch.size == 1 and arms is None:
        value = scored.probabilities[0]
        label = labels[value > 0.5]
        row = f'{{"id":"{scored.ids[0]}","probability":{value!r},"label":{label}}}'
        return f"{head}{row}]}}".encode()
    # The end of a row and the start of the next are one text: fewer are to be joined.
    start = '{"id":"'
    if arms is None:
        ends = [f',"label":{label}}},{start}' for label in labels]
        tails = [ends[value > 0.5] for value in scored.probabilities]
    else:
        tails = [
            f',"label":{labels[value > 0.5]},"version":"{own.version}"'
            f',"arm":"{own.mode}"}},{start}'
            for value, own in zip(scored.probabilities, arms, strict=True)
        ]
    size, middle = scored.batch.size, '","probability":'
    rows = joined_rows(size, scored.ids, middle, scored.texts, tails)
    return f"{head}{start}{rows[:-len(start) - 1]}]}}".encode()


def joined_rows(size: int, *parts: str | list[str]) -> str:
    """`size` rows of text, by few steps in C instead of several for each row.

    Parameters
    ----------
    size
        Number of rows.
    *parts
        What a row is made of, in order: a text that is the same for all, or a list
        with the text of each row.

    Examples
    --------
    >>> joined_rows(2, "(", ["a", "b"], ")")
    '(a)(b)'
    """
    pieces = [part if isinstance(part, str) else "" for part in parts] * size
    for position, part in enumerate(parts):
        if not isinstance(part, str):
            pieces[position :: len(parts)] = part
    return "".join(pieces)
