"""The least that any server in Python can do: a constant, without reading the request.

``python -m benchmarks.serving_bare PORT FILE`` answers each request with the bytes of
the file. A request ends with the end of its JSON; nothing else of it is read.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop


class Bare(asyncio.Protocol):
    """One connection."""

    answer = b""
    transport: Any

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer."""
        if data.endswith(b"}]}"):
            self.transport.write(self.answer)


async def main(port: int, file: Path) -> None:
    """Serve until the process is stopped."""
    Bare.answer = file.read_bytes()
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Path(sys.argv[2])))
