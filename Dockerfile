# One image for all roles: with no argument MCP over stdio (`docker run -i`), or a command, such as `worker`.
# How to use it, and what has been tried of it: docs/deploy.md.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/vel-tutor
WORKDIR /source
# The dependencies first: they change less often than the source, and stay in the build's cache.
# With traces: --build-arg LOCK=requirements-otel.lock
ARG LOCK=requirements.lock
COPY ${LOCK} ./
RUN /opt/vel-tutor/bin/pip install --compile --require-hashes --requirement ${LOCK}
COPY . .
RUN /opt/vel-tutor/bin/pip wheel --no-deps --wheel-dir /wheel . \
 && /opt/vel-tutor/bin/pip install --compile --no-deps --no-index /wheel/*.whl \
 && /opt/vel-tutor/bin/pip check \
 && /opt/vel-tutor/bin/pip uninstall --yes pip setuptools

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 vel-tutor \
 && useradd --uid 10001 --gid vel-tutor --home-dir /data --no-create-home --shell /usr/sbin/nologin vel-tutor \
 && install --directory --mode 0700 --owner vel-tutor --group vel-tutor /data
COPY --from=build /opt/vel-tutor /opt/vel-tutor
ENV PATH=/opt/vel-tutor/bin:$PATH PYTHONDONTWRITEBYTECODE=1 VEL_TUTOR_HOME=/data
USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM
# Alike for a server and a worker: the database can be asked, and its tables are of this version. That the process runs
# is the container's own business; one that serves HTTP also has /api/health.
HEALTHCHECK --interval=60s --timeout=10s --start-period=60s --retries=3 CMD ["vel-tutor-mcp", "db", "current"]
ENTRYPOINT ["vel-tutor-mcp"]
