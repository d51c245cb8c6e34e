# Everything is installed, byte-compiled and warmed up here, at the paths it will have in the image below.
FROM python:3.11-slim-bookworm AS build

# requirements-models.txt adds the libraries for model files other than scikit-learn's, requirements-cluster.txt Dask,
# requirements-otel.txt what sends traces.
ARG REQUIREMENTS=requirements.txt

ENV NUMBA_CACHE_DIR=/var/cache/numba \
    PATH=/opt/venv/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY requirements.txt requirements-cluster.txt requirements-models.txt requirements-otel.txt ./
RUN python -m venv /opt/venv && pip install --no-cache-dir --no-compile -r "$REQUIREMENTS"
COPY LICENSE run.py ./
COPY deploy/slim.py ./deploy/
COPY src ./src

# The bill of materials is written before pip and the like are removed, by a tool that stays out of the image.
# Compiled code, Python's and numba's, is valid for its source's time stamp, and an image keeps whole seconds only.
RUN find /opt/venv /app -name '*.py' -exec touch --date=@1700000000 {} + \
    && python -m compileall -q -j 0 /opt/venv/lib /app/src \
    && python -m src.warmup \
    && python -m venv /tmp/sbom && /tmp/sbom/bin/pip install --no-cache-dir --quiet cyclonedx-bom==7.5.0 \
    && /tmp/sbom/bin/cyclonedx-py environment /opt/venv/bin/python --output-file /opt/venv/sbom.cdx.json \
    && python deploy/slim.py /opt/venv && rm -r deploy /tmp/sbom
COPY README.md ./
COPY docs ./docs

FROM python:3.11-slim-bookworm

# libgomp1: OpenMP, which lightgbm expects of the system.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 service \
    && useradd --uid 10001 --gid service --no-create-home --home-dir /tmp --shell /usr/sbin/nologin service \
    && install --directory --owner service --group root --mode 0770 /data

# HOME: a user id that the system does not list has none.
ENV HOST=0.0.0.0 \
    HOME=/tmp \
    PORT=5050 \
    STORAGE_DIR=/data \
    NUMBA_CACHE_DIR=/var/cache/numba \
    MPLCONFIGDIR=/tmp/matplotlib \
    PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
COPY --from=build --chown=10001:0 --chmod=0775 /var/cache/numba /var/cache/numba

# Volumes stay writable under a read-only root. The cache is one because numba does not start where it cannot write, and
# because it compiles anew on a processor other than the one that built the image.
VOLUME ["/data", "/var/cache/numba"]

# Any other user id works too if its group is 0, as platforms choose them that give each project its own.
USER 10001:0
EXPOSE 5050

HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health', timeout=4).close()"]

CMD ["python", "run.py", "prod", "--no-venv"]
