"""``POST /models/{name}/predict``: rows in, one prediction each out."""

import msgspec

from ml_assets.serving.models.arms import Scored
from ml_assets.serving.models.router import ArmSeries, ServedModel
from ml_assets.serving.protocols import arrow
from ml_assets.serving.requests.messages import ARROW, Request, Response


def predict(model: ServedModel, series: ArmSeries, request: Request) -> Response:
    """Answer one request.

    The answer holds ``model``, ``version``, ``arm``, ``request_id``, and
    ``predictions``: for each row ``id``, the ``probability`` of the positive class, and
    the ``label``, which is the positive class above the version's threshold. Of several
    classes the ``label`` is the likeliest, ``probability`` is its own, and
    ``probabilities`` has that of each; of a regression there is the ``value`` instead,
    with ``lower`` and ``upper``, its interval, where the version has one.
    Where the plan splits the traffic each prediction has its ``version`` and ``arm``,
    and those of the answer are null if its rows went to several.
    ``warnings`` names the rows with categories that training did not see, where there
    are any. Rows may come as an Arrow stream, and the answer goes as one to a caller
    that takes it.
    """
    decoder, form = model.live.decoder, request.form
    if form.is_arrow:
        batch = arrow.decode(decoder.signature, request.body, decoder.max_rows)
    else:
        batch = decoder.decode(request.body, in_turns=not request.on_loop)
    scored = model.answer(batch, request)
    if form.wants_arrow:
        return series.response(scored, arrow.encode(scored), ARROW)
    return series.response(scored, encode(scored))


def encode(scored: Scored) -> bytes:
    """The JSON of an answer.

    Written out, because building dictionaries for an encoder takes three times as long.
    No text needs escaping but the labels, and those are escaped once per plan.
    """
    first, arms = scored.arm, scored.arms
    arm = first if arms is None else scored.only_arm
    opening = arm.opening if arm else first.opening_of_several
    head = f'{opening}{scored.request_id}","predictions":['
    unseen = scored.batch.unseen
    end = f'],"warnings":{msgspec.json.encode(unseen).decode()}}}' if unseen else "]}"
    if scored.batch.size == 1 and arms is None:
        members = first.task.members(scored.answers[0])
        return f'{head}{{"id":"{scored.ids[0]}",{members}}}{end}'.encode()
    start = '{"id":"'
    ends: str | list[str] = f"}},{start}"
    if arms is not None:
        ends = [
            f',"version":"{own.version}","arm":"{own.mode}"}},{start}' for own in arms
        ]
    parts = scored.task.parts(scored.answers, scored.texts, ends)
    rows = joined_rows(scored.batch.size, scored.ids, *parts)
    return f"{head}{start}{rows[:-len(start) - 1]}{end}".encode()


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
