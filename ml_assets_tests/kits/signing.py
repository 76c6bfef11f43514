"""Keys of the tests, as `ml-assets keys new` writes them."""

from pathlib import Path
from typing import NamedTuple

import click.testing
import pytest

from ml_assets.cli import main
from ml_assets.core.signing import SIGNING, VERIFY


class Pair(NamedTuple):
    """The files of a private key and of the public ones that verify it."""

    signing: Path
    verify: Path

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sign and verify with it."""
        monkeypatch.setenv(SIGNING, str(self.signing))
        monkeypatch.setenv(VERIFY, str(self.verify))


def make_keys(directory: Path, verb: str = "new") -> Pair:
    """A pair of keys in `directory`."""
    arguments = ["keys", verb, "--to", str(directory)]
    done = click.testing.CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    name = done.output.split()[1]
    return Pair(directory / f"signing-{name}.pem", directory / f"verify-{name}.pem")
