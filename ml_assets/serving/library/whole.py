"""Long requests of a compiled version, handed whole to a library process.

To decode a long body and encode its answers in a thread of the server would take the
interpreter and the processor from the event loop, wherever the answers are computed.
"""

from functools import partial

from msgspec.structs import replace

from ml_assets.serving.library.divided import DividedRuntime
from ml_assets.serving.library.messages import Refusal, Serve, Served, TooLong
from ml_assets.serving.library.remote import LibraryRuntime
from ml_assets.serving.models.router import ArmSeries, ServedModel
from ml_assets.serving.requests.messages import Handler, Request, Response
from ml_assets.serving.requests.problems import Problem, VersionFault

# The server decodes a longer body in turns, and asks for its rows in turns: a process
# would be kept from other models by it, and needs its memory for the versions.
_MOST_BYTES = 2**20


def handler(
    protocol: str, here: Handler, model: ServedModel, series: ArmSeries
) -> Handler | None:
    """Answers requests of a protocol in threads, long ones in a process.

    That takes a plan of one arm, which is compiled: for one that is not, computing
    takes so long that decoding elsewhere gains nothing. None for other plans.

    Parameters
    ----------
    here
        Answers what is not long in this process.
    """
    runtime = model.live.runtime
    if len(model.arms) > 1 or not isinstance(runtime, DividedRuntime):
        return None
    return partial(_answer, protocol, here, runtime, model, series)


def _answer(
    protocol: str,
    here: Handler,
    runtime: DividedRuntime,
    model: ServedModel,
    series: ArmSeries,
    request: Request,
) -> Response:
    if not runtime.here_bytes < len(request.body) <= _MOST_BYTES:
        return here(request)
    try:
        found = _asked(protocol, runtime.remote(), model, request)
    except Exception as error:
        if isinstance(error, Problem) and not isinstance(error, VersionFault):
            raise
        # Its rows are decoded here for their records, as those of any failure. The
        # frames of the error would hold the request, which holds the error.
        request = replace(request, fault=error.with_traceback(None))
    else:
        if isinstance(found, Served):
            return _response(found, model, series)
        if isinstance(found, Refusal):
            raise found.problem
    return here(request)


def _asked(
    protocol: str, remote: LibraryRuntime, model: ServedModel, request: Request
) -> Served | Refusal | TooLong:
    """What a process makes of a request."""
    caller = request.caller
    message = Serve(
        remote.directory,
        model.plan,
        model.live.decoder.max_rows,
        remote.turn,
        protocol,
        model.log is not None,
        request.request_id,
        request.made_id,
        request.body,
        request.received,
        request.entity,
        None if caller is None else caller.id,
        request.form,
        request.media,
    )
    return remote.serve(message)


def _response(found: Served, model: ServedModel, series: ArmSeries) -> Response:
    """The answer of a process, whose records are written before."""
    if model.log is not None and found.records:
        model.log.append(found.records, found.count)
    series.count_unseen(found.unseen)
    return Response(
        found.body,
        content_type=found.content_type,
        rows=found.rows,
        series=series.live,
        headers=found.headers,
    )
