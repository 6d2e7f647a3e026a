# syntax=docker/dockerfile:1
# The image of every Airflow process of a site. The code is not in it: docker-compose.yaml mounts this repository's folders
# read-only, so that a new version of the code needs a restart and no build. What is in it: Python and the locked packages.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/prodsys
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.txt ./
RUN pip install --require-hashes --requirement requirements.txt
# The package itself is installed as a link to /opt/prodsys: Airflow finds its connection types, the shell its command.
COPY pyproject.toml LICENSE ./
COPY plugins ./plugins
COPY sandbox ./sandbox
RUN pip install --no-deps --editable .

FROM python:${PYTHON_VERSION}-slim-bookworm
ARG AIRFLOW_UID=50000
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LANG=C.UTF-8 \
    AIRFLOW_HOME=/var/lib/prodsys/airflow \
    PRODSYS_HOME=/var/lib/prodsys/state
RUN useradd --uid ${AIRFLOW_UID} --gid 0 --create-home airflow \
    && mkdir -p "$AIRFLOW_HOME/logs" "$AIRFLOW_HOME/bundles" "$PRODSYS_HOME" \
    && chown -R airflow:0 /var/lib/prodsys
COPY --from=packages /opt/venv /opt/venv
COPY --from=packages /opt/prodsys/pyproject.toml /opt/prodsys/pyproject.toml
WORKDIR /opt/prodsys
USER airflow
ENTRYPOINT []
CMD ["airflow", "version"]
