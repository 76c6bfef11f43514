"""``POST /feedback``: labels, of predictions that were made."""

import logging
import re
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ml_assets.serving.access.callers import Caller
from ml_assets.serving.log.log_records import LabelRecord, encode, now
from ml_assets.serving.log.prediction_log import PredictionLog
from ml_assets.serving.logs import log
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.requests.decoder import require_object
from ml_assets.serving.requests.entities import ENTITY_LENGTH, is_entity
from ml_assets.serving.requests.messages import Request, Response, json_response
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.timestamps import EXPECTED, NotATime, unix_seconds
from ml_assets.serving.requests.validation import MAX_ERRORS, check_size, loads
from ml_assets.serving.requests.values import found

# A UUID of version 7, as `ml_assets.serving.models.ids` makes them.
ID_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_ID = re.compile(ID_PATTERN)
_BY_ID = {"id", "label"}
_BY_ENTITY = {"entity", "time", "label"}
_SHAPE = "an object of id and label, or of entity, time and label"


def model_named(payload: dict[str, Any]) -> str:
    """The model that a body of feedback names."""
    name = payload.get("model")
    if not isinstance(name, str):
        error = FieldError(column="model", expected="a name", found=found(name))
        raise invalid([error])
    return name


def parse(request: Request) -> dict[str, Any]:
    """The body of a request, whose keys are ``model`` and ``labels``."""
    return require_object(loads(request.body), ("model", "labels"))


def keep(
    model: ServedModel,
    payload: dict[str, Any],
    log_: PredictionLog,
    caller: Caller | None = None,
) -> Response:
    """Keep the labels of one request: all of them, or none with the reasons.

    Those of a `caller` whose key does not name the route count for the predictions
    that it asked for itself, which is found out where labels are joined: a prediction
    may still be on another machine.

    Raises
    ------
    Problem
        413 if there are too many, 422 if one does not fit, 503 if they cannot be kept.
    """
    labels = payload.get("labels")
    if not isinstance(labels, list):
        text = found(labels) if "labels" in payload else "nothing"
        error = FieldError(column="labels", expected="an array of labels", found=text)
        raise invalid([error])
    check_size(len(labels), model.live.decoder.max_rows)
    checker = _Checker(model, caller)
    records = [checker.record(row, item) for row, item in enumerate(labels)]
    if checker.errors:
        raise invalid(checker.errors[:MAX_ERRORS])
    kept = [record for record in records if record is not None]
    try:
        log_.labels.append_durably(encode(kept), len(kept))
    except OSError as error:
        log("labels were refused", logging.WARNING, reason=str(error.strerror))
        detail = "the labels cannot be kept now; send them again later"
        raise Problem(
            503, "overloaded", detail, headers=[(b"retry-after", b"5")]
        ) from error
    by_id = sum(record.id is not None for record in kept)
    counts = {"accepted": len(kept), "by_id": by_id, "by_entity": len(kept) - by_id}
    response = json_response({"model": model.name, **counts}, 202)
    return replace(response, rows=len(kept))


class _Checker:
    """Turns what callers send into records, and collects what is wrong with it."""

    def __init__(self, model: ServedModel, caller: Caller | None) -> None:
        self.errors: list[FieldError] = []
        self._from: tuple[str | UnsetType, bool | UnsetType] = (UNSET, UNSET)
        if caller is not None:
            is_own = not caller.has("feedback", model.name)
            self._from = caller.id, is_own or UNSET
        self._received = now()
        self._task = model.live.task

    def record(self, row: int, given: object) -> LabelRecord | None:
        """The record of one label; None where something is wrong with it."""
        if not isinstance(given, dict) or given.keys() not in (_BY_ID, _BY_ENTITY):
            text = found(given) if not isinstance(given, dict) else "other keys"
            self.errors.append(FieldError(row=row, expected=_SHAPE, found=text))
            return None
        before = len(self.errors)
        label = self._label(row, given["label"])
        time = None
        if "id" in given:
            self._check_id(row, given["id"])
        else:
            self._check_entity(row, given["entity"])
            time = self._timestamp(row, given["time"])
        if label is None or len(self.errors) > before:
            return None
        return LabelRecord(
            *(given.get("id"), given.get("entity"), time, label, self._received),
            *self._from,
        )

    def _label(self, row: int, value: object) -> str | int | float | bool | None:
        label = self._task.label(value)
        if label is None:
            self._wrong(row, "label", self._task.label_names, value)
        return label

    def _check_id(self, row: int, value: object) -> None:
        if not isinstance(value, str) or not _ID.fullmatch(value):
            self._wrong(row, "id", "the id of a prediction", value)

    def _check_entity(self, row: int, entity: object) -> None:
        if not is_entity(entity):
            expected = f"a string of 1 to {ENTITY_LENGTH} characters"
            self._wrong(row, "entity", expected, entity)

    def _timestamp(self, row: int, value: object) -> float | None:
        try:
            return unix_seconds(value)
        except NotATime as error:
            self.errors.append(
                FieldError(row=row, column="time", expected=EXPECTED, found=error.found)
            )
            return None

    def _wrong(self, row: int, column: str, expected: str, value: object) -> None:
        text = "another string" if isinstance(value, str) else found(value)
        self.errors.append(
            FieldError(row=row, column=column, expected=expected, found=text)
        )
