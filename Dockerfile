FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements-run.lock ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements-run.lock
COPY pyproject.toml README.md ./
COPY libs libs
COPY services services
RUN python -m venv /build && /build/bin/pip install --no-cache-dir hatchling \
    && /build/bin/python -m hatchling build -t wheel -d /wheel \
    && /venv/bin/pip install --no-cache-dir --no-deps /wheel/*.whl

FROM python:3.11-slim
COPY --from=build /venv /venv
RUN useradd --uid 10001 --no-create-home cohort && install -d -o cohort -g cohort /data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER cohort
VOLUME /data
ENTRYPOINT ["cohort"]
CMD ["serve", "--data-dir", "/data"]
