#!/bin/sh
# Writes the package lists of the images from pyproject.toml and requirements.lock.
# Run it after `make lock`, from the root of the repository, with uv on the PATH.
set -eu

compile() {
    uv pip compile --quiet --python-version 3.11 --python-platform linux \
        --constraints requirements.lock --no-annotate --no-header "$@"
}

compile pyproject.toml --extra serve --extra kubernetes --extra docker --extra postgres --extra delivery --extra s3 \
    --output-file docker/base.txt
compile docker/serve.in --output-file docker/serve.txt
# Not in requirements.lock, so its list carries hashes of its own; what the image has
# already is left out.
in_base=$(sed 's/[;=].*//; s/^/--no-emit-package /' docker/base.txt)
# shellcheck disable=SC2086 # one word for each package
compile docker/mlflow.in --generate-hashes $in_base --output-file docker/mlflow.txt
# shellcheck disable=SC2086
compile pyproject.toml --extra ray $in_base --output-file docker/ray.txt
