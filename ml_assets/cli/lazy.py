"""A group of commands whose modules are imported when they are called."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from ml_assets.cli.output import reporting_errors
from ml_assets.core.errors import UnavailableError


class LazyGroup(click.Group):
    """Knows its commands by name and one sentence; the rest is imported on use.

    Parameters
    ----------
    modules : mapping of str to (str, str)
        Command to its module below ``ml_assets.cli``, which holds it as ``command`` or
        under the name behind a colon, and the sentence that the list of commands shows.
    renamed : mapping of str to str
        A name that a command had before, and the name that it has now.
    """

    def __init__(
        self,
        *args: Any,
        modules: Mapping[str, tuple[str, str]],
        renamed: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.modules = modules
        self.renamed = renamed

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; whatever it does may find the database or storage away."""
        with reporting_errors(UnavailableError):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands."""
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command; None where there is no such.

        Raises
        ------
        click.UsageError
            For a former name, with the present one.
        """
        if name in self.renamed:
            raise click.UsageError(
                f"`{name}` is now called `{self.renamed[name]}`;"
                f" see `ml-assets {self.renamed[name]} --help`",
                ctx,
            )
        if name not in self.modules:
            return None
        module, _, attribute = self.modules[name][0].partition(":")
        found = import_module(f"ml_assets.cli.{module}")
        command: click.Command = getattr(found, attribute or "command")
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.modules[name][1]) for name in self.modules])
