"""A library process as its server has it."""

import os
import socket
import subprocess  # nosec B404 # runs this interpreter with fixed arguments only
import sys
from time import monotonic

from ml_assets.serving.library.messages import (
    Asked,
    Channel,
    Failed,
    Load,
    Loaded,
    Reply,
    Unload,
)

# Loading imports libraries from a disk, and scores the probe rows several times.
_LOAD_SECONDS = 120.0


class ChildEnded(Exception):
    """The process ended before it answered."""


class ChildHangs(Exception):
    """The process did not answer in time."""


class ChildProcess:
    """One process, which is asked one thing at a time.

    Parameters
    ----------
    slot
        Its number among the processes of the server: one that replaces it has the same.
    most_bytes
        Bound of its memory.

    Attributes
    ----------
    loaded : dict of str to float
        Directories of the bundles in its memory, and seconds a row of each.
    """

    def __init__(self, slot: int, most_bytes: int) -> None:
        self.slot = slot
        self.started = monotonic()
        self.loaded: dict[str, float] = {}
        here, there = socket.socketpair()
        life_there, self._life = os.pipe()
        self._channel = Channel(here)
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        with there:
            descriptors = (there.fileno(), life_there)
            self._process = subprocess.Popen(  # nosec B603 # fixed arguments
                [
                    sys.executable,
                    "-m",
                    "ml_assets.serving.library.child",
                    *map(str, descriptors),
                    str(most_bytes),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
                env=environment,
            )
        os.close(life_there)

    def ask(self, message: Asked, seconds: float) -> Reply:
        """What it answers.

        Raises
        ------
        ChildEnded
            If it ended before it answered.
        ChildHangs
            If it takes longer than `seconds`.
        """
        try:
            self._channel.send(message, seconds)
            reply: Reply = self._channel.receive(Reply, seconds)
        except TimeoutError as error:
            raise ChildHangs from error
        except (OSError, EOFError) as error:
            raise ChildEnded from error
        return reply

    def load(self, directory: str, files: dict[str, str]) -> Failed | None:
        """Load a bundle that is not in its memory; why it must not serve."""
        if directory not in self.loaded:
            reply = self.ask(Load(directory, files), _LOAD_SECONDS)
            if isinstance(reply, Failed):
                return reply
            if not isinstance(reply, Loaded):
                raise AssertionError("a library process loads or fails")
            self.loaded[directory] = reply.row_seconds
        return None

    def unload_others(self, wanted: set[str], seconds: float) -> None:
        """Forget the bundles that are not `wanted`."""
        for directory in self.loaded.keys() - wanted:
            self.ask(Unload(directory), seconds)
            del self.loaded[directory]

    def kill(self) -> int:
        """End the process at once; its exit code."""
        self._process.kill()
        code = self._process.wait()
        self._channel.close()
        if self._life >= 0:
            os.close(self._life)
            self._life = -1
        return code
