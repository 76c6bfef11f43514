"""``python -m ml_assets.cli.demonstration``: the same as ``ml-assets demo``."""

from ml_assets.cli.demo import command

command(prog_name="ml-assets demo")
