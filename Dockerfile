# Two images from one tree: `--target service` (the runtime with the reference API) and `--target operator`.
# Dependencies and project are layers of their own, so that a change of source rebuilds and moves a few hundred kilobytes.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
ENV PIP_CACHE_DIR=/var/cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY pyproject.toml requirements.lock ./
# Empty packages stand in for the project: the layers below change only with the two files above.
RUN touch README.md \
    && for package in service/paceline service/paceline_api operator/paceline_operator; do \
        mkdir -p "$package" && touch "$package/__init__.py" || exit 1; \
    done

FROM builder AS service-dependencies
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --constraint requirements.lock '.[api]' \
    && python -m pip --python /opt/venv/bin/python uninstall --yes paceline

FROM builder AS operator-dependencies
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --constraint requirements.lock '.[operator]' \
    && python -m pip --python /opt/venv/bin/python uninstall --yes paceline

FROM builder AS project
COPY service/ service/
COPY operator/ operator/
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-deps .

FROM ${PYTHON_IMAGE} AS base
RUN apt-get update -q \
    && apt-get install -qy --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 65532 paceline \
    && useradd --uid 65532 --gid 65532 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin paceline \
    && install -d -o 65532 -g 65532 /run/paceline
# The root file system may be read-only: bytecode was written at build time, and nothing is written later.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 65532:65532
ENTRYPOINT ["tini", "--"]

FROM base AS service
ENV PACELINE_BIND=0.0.0.0:8000 \
    PACELINE_MANAGEMENT_BIND=0.0.0.0:9090 \
    PACELINE_RUN_DIR=/run/paceline/pod \
    PACELINE_TUNING_FILE=/etc/paceline/tuning/tuning.json
COPY --from=service-dependencies /opt/venv /opt/venv
COPY --from=project /opt/venv/lib /opt/venv/lib
COPY --from=project /opt/venv/bin/paceline /opt/venv/bin/
EXPOSE 8000 9090
CMD ["paceline", "serve", "paceline_api.app:app"]

FROM base AS operator
COPY --from=operator-dependencies /opt/venv /opt/venv
COPY --from=project /opt/venv/lib /opt/venv/lib
COPY --from=project /opt/venv/bin/paceline-operator /opt/venv/bin/
EXPOSE 8080 8081
CMD ["paceline-operator", "run"]
