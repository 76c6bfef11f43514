"""What the small servers that stand in for others have in common."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer


@contextmanager
def served(server: BaseServer) -> Iterator[None]:
    """Have a server answer, in a thread, until the block ends; then it is closed."""
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    with server:
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
