"""``python -m ml_assets.cli``: the command line where no script is installed."""

from ml_assets.cli import main

main(prog_name="ml-assets")
