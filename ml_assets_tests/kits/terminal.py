"""A program on a pseudo terminal of a given width, as a person would run it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-8]|4[0-8]|9[0-7])(?:;[0-9]+)*m")


def on_terminal(code: str, width: int, **variables: str) -> str:
    """What Python code writes to a terminal, escape sequences included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    left_out = ("COLUMNS", "NO_COLOR", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=kept | {"TERM": "xterm-256color"} | variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    # The kernel reports an error once nobody has the other end open.
    try:
        while block := os.read(ours, 65_536):
            written += block
    except OSError:
        pass
    finally:
        os.close(ours)
    text = written.decode()
    assert process.wait() == 0, text
    return text.replace("\r\n", "\n")


def plain(text: str) -> str:
    """`text` without escape sequences."""
    return ESCAPE.sub("", text)
