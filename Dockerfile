# Three images from one file, each `docker build --target NAME`:
#   base           the Dagster code location, and the run pods
#   production     the model server, with only the packages that serve
#   observability  base, started as the exporter of metrics
# Works with BuildKit and with the builder before it. docs/containers.md explains.
ARG PYTHON_IMAGE=python:3.11-slim

# What all of them stand on: Python, an init process, a user without a name to guess.
FROM ${PYTHON_IMAGE} AS runtime
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
 && mkdir -p /app /var/lib/ml-assets /var/lib/mlflow /var/lib/dagster /run/ml-assets \
 && chown 10001:10001 /var/lib/ml-assets /var/lib/mlflow /var/lib/dagster /run/ml-assets
COPY docker/healthcheck.py /opt/healthcheck.py
# The root file system may be read-only: what is written goes to /tmp or to volumes, which
# take the owner of these directories.
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    OMP_NUM_THREADS=1 \
    ML_ASSETS_HOME=/var/lib/ml-assets
WORKDIR /app
ENTRYPOINT ["tini", "--"]

# Packages are installed in stages that are left behind, by an installer that stays there.
FROM ${PYTHON_IMAGE} AS installer
COPY docker/build.txt /build/
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/python -m pip install --no-cache-dir --require-hashes -r /build/build.txt \
 && python3 -m venv --without-pip /opt/venv
# Compiled beforehand, because a read-only root cannot keep what Python compiles.
ENV PATH=/opt/uv/bin:/usr/local/bin:/usr/bin:/bin \
    VIRTUAL_ENV=/opt/venv \
    UV_NO_CACHE=1 \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    UV_PYTHON_DOWNLOADS=never
COPY requirements.lock /build/
WORKDIR /app

# Each list names the packages; versions and hashes must agree with requirements.lock.
# The tests that packages bring along are left out: a tenth of the whole, or a quarter.
# The package itself is linked, not copied: only what describes it decides this layer.
FROM installer AS base-packages
# `--build-arg EXTRA=ray` adds the packages of docker/ray.txt.
ARG EXTRA=
COPY docker/base.txt docker/mlflow.txt docker/ray.txt /build/
RUN uv pip install --require-hashes --constraints /build/requirements.lock -r /build/base.txt \
        ${EXTRA:+-r "/build/${EXTRA}.txt"} \
 && uv pip install --no-deps --require-hashes -r /build/mlflow.txt \
 && find /opt/venv -type d -name tests -prune -exec rm -r {} +
COPY pyproject.toml setup.cfg README.md ./
COPY ml_assets/__init__.py ml_assets/
RUN uv pip install --no-deps --editable . --build-constraints /build/requirements.lock

FROM installer AS production-packages
COPY docker/serve.txt /build/
RUN uv pip install --require-hashes --constraints /build/requirements.lock -r /build/serve.txt \
 && find /opt/venv -type d -name tests -prune -exec rm -r {} +
COPY pyproject.toml setup.cfg README.md ./
COPY ml_assets/__init__.py ml_assets/
RUN uv pip install --no-deps --editable . --build-constraints /build/requirements.lock

# What changes with every commit comes last.
FROM runtime AS production
COPY --from=production-packages /opt/venv /opt/venv
COPY pyproject.toml ./
COPY ml_assets ml_assets
RUN python -m compileall -q --invalidation-mode unchecked-hash ml_assets \
 && python -c "import ml_assets.serving.process.server"
ARG REVISION=unknown
ARG VERSION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="ml-assets model server" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.created="${CREATED}"
USER 10001:10001
EXPOSE 8080 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s --retries=3 \
    CMD ["python", "/opt/healthcheck.py", "http", "http://127.0.0.1:8080/v2/health/ready"]
CMD ["ml-assets", "serve", "--host", "0.0.0.0", "--port", "8080", "--metrics-port", "8000"]

FROM runtime AS base
COPY docker/nslookup /usr/local/bin/nslookup
COPY --from=base-packages /opt/venv /opt/venv
COPY pyproject.toml ./
COPY ml_assets ml_assets
# An image whose definitions do not load must not exist. pyproject.toml stays above the
# package, because the folder of definitions is found from it at run time.
RUN python -m compileall -q --invalidation-mode unchecked-hash ml_assets \
 && python -c "import ml_assets.definitions as d; d.defs().get_repository_def()"
ARG REVISION=unknown
ARG VERSION=unknown
ARG CREATED=unknown
# Every version that is trained names the commit of its code.
ENV ML_ASSETS_GIT_COMMIT=${REVISION}
LABEL org.opencontainers.image.title="ml-assets code location" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.created="${CREATED}"
# DAGSTER_HOME is not set, and its usual directory does not exist: `dagster api grpc` would
# otherwise want to make a database there. Who runs an instance mounts a dagster.yaml.
USER 10001:10001
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python", "/opt/healthcheck.py", "grpc", "127.0.0.1:4000"]
CMD ["dagster", "api", "grpc", "-m", "ml_assets.definitions", "-h", "0.0.0.0", "-p", "4000"]

FROM base AS observability
LABEL org.opencontainers.image.title="ml-assets exporter"
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python", "/opt/healthcheck.py", "http", "http://127.0.0.1:8000/metrics"]
CMD ["ml-assets", "exporter", "--host", "0.0.0.0", "--port", "8000"]
