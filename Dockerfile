FROM python:3.11-slim AS build
COPY requirements-run.lock ./
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-run.lock
COPY libs /app/libs
COPY services /app/services
# Run from its folder rather than built and installed: a build would fetch a build backend that no hash pins.
RUN printf '#!/bin/sh\nexec python -m libs.cli.main "$@"\n' > /venv/bin/cohort \
    && chmod 755 /venv/bin/cohort \
    && /venv/bin/python -m compileall -q /app

FROM python:3.11-slim
COPY --from=build /venv /venv
COPY --from=build /app /app
RUN useradd --uid 10001 --no-create-home cohort && install -d -m 700 -o cohort -g cohort /data
# Nothing is written but to /data and /tmp, so the root may be read-only. Compiled loops are kept in /tmp; a container
# compiles them once, beside its work.
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=/tmp/kernels
# By its number, so that whoever runs the image can tell that it is not root.
USER 10001:10001
VOLUME /data
ENTRYPOINT ["cohort"]
CMD ["serve", "--data-dir", "/data"]
