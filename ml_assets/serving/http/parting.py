"""Closing a connection so that its client reads the last answer.

A socket that is closed while its client still sends is reset, and the answer that the
client has not read yet is lost with it: a client that was to wait and come again sees a
broken connection instead.
"""

import asyncio
import weakref
from collections.abc import Callable


class PartingTransport(asyncio.Transport):
    """What uvicorn answers on: its `close` is another than that of `transport`.

    Parameters
    ----------
    transport
        Of the connection.
    close
        A method of the connection's protocol, which is not kept alive by it.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        super().__init__()
        self._close = weakref.WeakMethod(close)
        self.write = transport.write  # type: ignore[method-assign]
        self.is_closing = transport.is_closing  # type: ignore[method-assign]

    def close(self) -> None:
        """Close after the last answer."""
        close = self._close()
        if close is not None:
            close()
