"""Requests whose body was read, and responses, as the handlers of routes see them."""

from collections.abc import Callable, Sequence

import msgspec

from ml_assets.serving.access.callers import Caller
from ml_assets.serving.metrics.collector import Series
from ml_assets.serving.requests.batch import UnseenCategory
from ml_assets.serving.requests.held_records import HeldRecords

JSON = b"application/json"
CSV = b"text/csv"
ARROW = b"application/vnd.apache.arrow.stream"


class Form(msgspec.Struct, frozen=True, gc=False):
    """How a body is written beside its media type, and what the caller takes.

    ``json_bytes`` is how much of the body is JSON, where tensors follow it.
    """

    is_arrow: bool = False
    wants_arrow: bool = False
    json_bytes: int | None = None


# The form of nearly all requests, by identity.
PLAIN = Form()


class Request(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request, with its body read.

    ``received`` is the `time.perf_counter` of its headers, ``entity`` the header that
    names whom it is about, ``caller`` who asks, None where no key is needed, and
    ``media`` what the body is; ``on_loop`` is set while the event loop waits for the
    answer. ``held`` takes the records where it takes the answer as well; None where
    they are written at once. ``made_id`` is set where the caller gave no id: the first
    prediction has that of the request then. ``fault`` is why there is no answer, where
    that is known before the rows are.
    """

    request_id: str
    body: bytes
    received: float = 0.0
    entity: bytes | None = None
    path: str = ""
    caller: Caller | None = None
    form: Form = PLAIN
    media: bytes = JSON
    on_loop: bool = False
    held: HeldRecords | None = None
    made_id: bool = False
    fault: Exception | None = None


class Response(msgspec.Struct, frozen=True, gc=False):
    """An answer with status 200, or another where nothing is wrong with the request.

    ``rows`` are counted in ``series``; ``others`` counts the rows of further arms.
    ``unseen`` names their categories that training did not see.
    """

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    rows: int = 0
    series: Series | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    others: tuple[tuple[Series, int], ...] = ()
    unseen: Sequence[UnseenCategory] = ()


Handler = Callable[[Request], Response]


def json_response(value: object, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status)
