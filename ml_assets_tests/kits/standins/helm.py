"""Stands in for Helm's command: Helm itself, as a library, to a registry without TLS.

What it is asked to do is appended to the file that STANDIN_LOG names.
"""

import os
import sys
from pathlib import Path

import helm_python


def main(arguments: list[str]) -> None:
    with Path(os.environ["STANDIN_LOG"]).open("a") as log:
        print("helm", *arguments, file=log)
    match arguments:
        case [
            "package", folder, "--version", version, "--app-version", app_version,
            "--destination", destination,
        ]:  # fmt: skip
            helm_python.package(
                folder,
                version=version,
                app_version=app_version,
                destination=destination,
            )
        case ["push", archive, remote, "--registry-config", _]:
            helm_python.push(archive, remote, plain_http=True)
        case _:
            sys.exit(f"unknown command: {arguments}")


if __name__ == "__main__":
    main(sys.argv[1:])
