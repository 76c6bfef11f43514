"""The settings of a model server, from arguments and the environment."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ml_assets.core.decoding import from_builtins
from ml_assets.core.files import home
from ml_assets.core.storage import Storage, storage
from ml_assets.records.pins import split_pins

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
# As `pin_of` writes it, or a bare generation; of several models, as `join_pins` does;
# empty is no pin.
_PIN = r"[1-9]\d*(-[0-9a-f]{12})?"
_NAMED = rf"[a-z][a-z0-9_]*={_PIN}"
Pin = Annotated[str, msgspec.Meta(pattern=rf"^({_PIN}|{_NAMED}(,{_NAMED})*)?$")]
_ORIGIN = re.compile(r"https?://[a-z0-9._-]+(:[0-9]{1,5})?")
# Bytes that the system takes as the path of a Unix socket.
LONGEST_PATH = 107


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a model server; each field is an environment variable too.

    The variable of ``max_rows`` is ``ML_ASSETS_MAX_ROWS``, and so on.

    Attributes
    ----------
    host, port
        Where predictions are served; port 0 takes a free one and logs it.
    metrics_port
        Where Prometheus asks, for all workers.
    storage
        The storage that holds plans and bundles: a directory, or a URL.
    home
        Directory of the local state, in which the prediction log is written.
    cache
        Directory of the plans and bundles that were served here, from which a server
        starts while the storage is away; by default ``cache`` in the home directory.
    model
        The only model to serve; all by default.
    generation
        The plan of that model to serve, such as ``7`` or ``7-3fa9c1d2e4b5``, be it
        active, past or tried; by default whichever is active. Without ``model``, the
        models to serve with the plan of each, such as ``churn=7-3fa9c1d2e4b5,iris=2``.
    keys_file
        File of the API keys that callers need, followed while serving; by default there
        is none, and whoever reaches the server is answered.
    handoff
        Unix socket of the hand-off whose connections the server accepts too; see
        `ml_assets.serving.process.handoff`.
    workers
        Processes that share the port.
    hang_seconds
        A worker whose event loop does not run for so long is replaced.
    max_body_bytes, max_rows
        Bounds of one request; beyond them the answer is 413.
    max_in_flight
        Requests of one worker that are being read or answered; beyond, 503.
    max_queue
        Requests of one model that wait for slow answers (a version that is not
        compiled, or a large body); beyond, 503.
    answer_seconds
        How long a slow answer may take, with its waiting; beyond, 504. A process that
        computes for longer is replaced.
    library_processes
        Processes of one worker in which versions that are not compiled answer, and
        long requests of those that are; none is started before there is one.
    library_bytes
        Memory of one of those processes, beyond which its allocations fail.
    max_connections
        Open connections of one worker; beyond, the longest idle one is closed.
    header_seconds, body_seconds
        How long a client may take to send its headers, and its body.
    keep_alive_seconds
        How long an idle connection is kept; longer than the proxy in front keeps it.
    cors_origins
        Origins whose pages may read the answers, separated by commas; ``*`` for all,
        and by default none.
    drain_seconds
        How long connections may stay open for a last request after SIGTERM.
    shutdown_seconds
        How long requests in flight may take after that.
    poll_seconds
        How often proposals are looked for on this machine; the storage is asked once a
        second.
    segment_bytes, segment_seconds
        Size and age at which a segment of the prediction log is closed and shipped.
    max_shadow_rows, max_shadow_bytes
        Rows, and about their bytes, that wait for the shadow arms: of all compiled ones
        together, and of each other model; beyond, they are dropped and counted.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    metrics_port: Port = 8000
    storage: str = ""
    home: str = ""
    cache: str = ""
    model: str = ""
    generation: Pin = ""
    keys_file: str = ""
    handoff: str = ""
    workers: Count = 1
    hang_seconds: Seconds = 30.0
    max_body_bytes: Count = 8 * 2**20
    max_rows: Count = 10_000
    max_in_flight: Count = 512
    max_queue: Count = 64
    answer_seconds: Seconds = 30.0
    library_processes: Count = 2
    library_bytes: Count = 2 * 2**30
    max_connections: Count = 1024
    header_seconds: Seconds = 10.0
    body_seconds: Seconds = 30.0
    # Longer than proxies keep an idle connection, which else send a request into its
    # end: AWS's load balancer 60 s, nginx 60 s, Azure's 240 s, Google's 600 s. HAProxy
    # has no time of its own, and its examples have 10 s to 60 s.
    keep_alive_seconds: Count = 620
    cors_origins: str = ""
    drain_seconds: Seconds = 1.0
    shutdown_seconds: Count = 30
    poll_seconds: Seconds = 0.1
    segment_bytes: Count = 16 * 2**20
    segment_seconds: Seconds = 30.0
    max_shadow_rows: Count = 10_000
    max_shadow_bytes: Count = 64 * 2**20

    @classmethod
    def load(
        cls, arguments: Mapping[str, Any], environ: Mapping[str, str] = os.environ
    ) -> "ServerSettings":
        """Settings from `arguments`, where None is not given, and the environment.

        Raises
        ------
        ValueError
            If a value does not fit; the message names it.

        Examples
        --------
        >>> ServerSettings.load({"port": 9000}, {"ML_ASSETS_MAX_ROWS": "50"}).max_rows
        50
        """
        values: dict[str, Any] = {
            "storage": storage().url,
            "home": str(home()),
        }
        for name in cls.__struct_fields__:
            text = environ.get(f"ML_ASSETS_{name.upper()}")
            if text:
                values[name] = text
        values |= {
            name: value for name, value in arguments.items() if value is not None
        }
        values["storage"] = Storage(str(values["storage"])).url
        values.setdefault("cache", str(Path(str(values["home"])) / "cache"))
        try:
            found = from_builtins(values, cls, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"server settings: {error}") from None
        if found.generation and ("=" in found.generation) == bool(found.model):
            raise ValueError(
                f"server settings: generation is {found.generation} and model is"
                f" {found.model or 'missing'}, expected the model whose plan it is, or"
                " MODEL=GENERATION of each model and no model"
            )
        try:
            require_socket_path(found.handoff)
            origins_of(found.cors_origins)
        except ValueError as error:
            raise ValueError(f"server settings: {error}") from None
        return found

    def pins(self) -> dict[str, str]:
        """The pin of each model to serve; empty where active plans are followed.

        Examples
        --------
        >>> ServerSettings(model="churn", generation="7").pins()
        {'churn': '7'}
        """
        if self.model and self.generation:
            return {self.model: self.generation}
        return split_pins(self.generation)

    def arguments(self) -> list[str]:
        """The command line that gives these settings."""
        values = msgspec.structs.asdict(self)
        return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def origins_of(text: str) -> list[str]:
    """The origins of a setting, separated by commas.

    Raises
    ------
    ValueError
        If one is not a scheme and a host, as browsers write them.

    Examples
    --------
    >>> origins_of("https://a.example, http://localhost:3000")
    ['https://a.example', 'http://localhost:3000']
    """
    found = [origin.strip() for origin in text.split(",") if origin.strip()]
    for origin in found:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"cors_origins has {origin!r}, expected * or a scheme and a host in"
                " lower case, such as https://app.example.com or http://localhost:3000"
            )
    return found


def require_socket_path(path: str) -> None:
    """Refuse a path that no Unix socket can have.

    Raises
    ------
    ValueError
        If it is longer than the 107 bytes that the system takes.
    """
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise ValueError(
            f"hand-off is {path}, a Unix socket whose path has {length} bytes,"
            f" expected at most {LONGEST_PATH}"
        )
