"""The reader of guides notices a guide that is wrong."""

import os
from pathlib import Path

import pytest

from ml_assets_tests.kits.guides import Reader, steps
from ml_assets_tests.kits.processes import free_ports

SERVER = "python3 -u -m http.server --bind 127.0.0.1 $PORT"
RIGHT = f"""
# Guide

```bash
cd /
name=world
```

```bash terminal=served
{SERVER}
```

```text
Serving HTTP on 127.0.0.1 port ... (http://127.0.0.1:8080/) ...
```

```bash
echo "hello  $name of 20991231T000000Z"
echo more
pwd
curl -s localhost:8080 | grep -c '<h1>Directory listing'
```

```text
hello world of 20260101T000000Z
...
1
```

```bash
echo 20260101T000000Z
```

```text
20260101T000000Z
```

```bash fails
false
```

<!-- Ctrl-C terminal=served -->
"""


def follow(directory: Path, guide: str, patience: float = 60) -> None:
    page = directory / "guide.md"
    page.write_text(guide)
    (port,) = free_ports(1)
    environment = {"PATH": os.environ["PATH"], "PORT": str(port)}
    reader = Reader(directory, environment, {8080: port}, patience)
    with reader.leaving_nothing():
        reader.follow(steps(page))


def test_a_right_guide_is_followed_to_its_end(tmp_path: Path) -> None:
    follow(tmp_path, RIGHT)


@pytest.mark.parametrize(
    "right, wrong, message",
    [
        ("hello world of", "hello you of", "the guide shows 'hello you of"),
        ("\n1\n", "\n2\n", "the guide shows '2'"),
        ("echo more", "no_such_program", "exit code 127"),
        ("fails\nfalse", "fails\ntrue", "exit code 0"),
        ("\n```text\n20260101", "\n```text\n20260102", "the guide shows '20260102"),
        ("echo 20260101", "exit 3; echo 20260101", "the shell ended in this block"),
        ("localhost:8080", "localhost:8081", "exit code"),
    ],
)
def test_a_wrong_guide_is_noticed(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert RIGHT.count(right) == 1
    with pytest.raises(AssertionError, match=f"line \\d+: {message}"):
        follow(tmp_path, RIGHT.replace(right, wrong))


def test_a_terminal_that_never_shows_what_the_guide_shows_is_noticed(
    tmp_path: Path,
) -> None:
    with pytest.raises(AssertionError, match="line 9: the guide shows 'Serving HTTP"):
        follow(tmp_path, RIGHT.replace("port ... (http", "socket ... (http"), 1)
