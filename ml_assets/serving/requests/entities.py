"""Whom a row is about: the name that keeps its answers on one arm."""

import re
from typing import Annotated

import msgspec

from ml_assets.serving.requests.batch import Batch
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.validation import MAX_ERRORS
from ml_assets.serving.requests.values import found, is_text

ENTITY_LENGTH = 256
ENTITY = Annotated[str, msgspec.Meta(min_length=1, max_length=ENTITY_LENGTH)]
# Other names can be written in the body, where no proxy changes them.
HEADER_PATTERN = f"[!-~]{{1,{ENTITY_LENGTH}}}"
_IN_HEADER = re.compile(HEADER_PATTERN.encode())
_EXPECTED = f"a string of 1 to {ENTITY_LENGTH} characters"
_TWICE = "expected the entities in the body or in the header X-Entity, found both"


def check_entities(given: object, size: int) -> list[str | None]:
    """The entities of `size` rows, as they stand in a body; null is none.

    Raises
    ------
    Problem
        422, with the row, what was expected and found.
    """
    if not isinstance(given, list):
        error = FieldError(
            column="entities", expected="an array of strings", found=found(given)
        )
        raise invalid([error])
    if len(given) != size:
        expected = f"{size} values, one for each row"
        error = FieldError(column="entities", expected=expected, found=str(len(given)))
        raise invalid([error])
    errors = [
        FieldError(
            row=row, column="entities", expected=f"{_EXPECTED} or null", found=_found(e)
        )
        for row, e in enumerate(given)
        if e is not None and not is_entity(e)
    ]
    if errors:
        raise invalid(errors[:MAX_ERRORS])
    return given


def is_entity(value: object) -> bool:
    """Whether `value` may name an entity."""
    return is_text(value) and 1 <= len(str(value)) <= ENTITY_LENGTH


def entities_of(batch: Batch, header: bytes) -> list[str | None]:
    """The entity of each row, from the header.

    Raises
    ------
    Problem
        422 if the body names some, or the header is not what may name an entity.
    """
    if batch.entities is not None:
        raise Problem(422, "invalid-request", _TWICE)
    if not _IN_HEADER.fullmatch(header):
        expected = f"1 to {ENTITY_LENGTH} printable ASCII characters without a space"
        detail = f"expected the header X-Entity to hold {expected}, found another text"
        raise Problem(422, "invalid-request", detail)
    return [header.decode("ascii")] * batch.size


def _found(value: object) -> str:
    return "another string" if isinstance(value, str) else found(value)
