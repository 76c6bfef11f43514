#!/bin/sh
# Writes the package lists of the images from pyproject.toml and requirements.lock.
# Run it after `make lock`, from the root of the repository, with uv on the PATH.
set -eu

compile() {
    uv pip compile --quiet --python-version 3.11 --python-platform linux \
        --constraints requirements.lock --no-annotate --no-header "$@"
}

compile pyproject.toml --output-file docker/base.txt
compile docker/serve.in --output-file docker/serve.txt
# These are not in requirements.lock, so their lists carry hashes of their own; what the
# image has already is left out.
in_base=$(sed 's/[;=].*//; s/^/--no-emit-package /' docker/base.txt)
# shellcheck disable=SC2086
compile pyproject.toml --extra ray $in_base --output-file docker/ray.txt
for list in mlflow observability; do
    # shellcheck disable=SC2086 # one word for each package
    compile "docker/$list.in" --generate-hashes $in_base --output-file "docker/$list.txt"
done
