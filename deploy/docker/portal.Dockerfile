# Portal, API, admin, gateway, Celery worker, beat and reconciler: one image, no torch; the command says which.
# Build from the repository root: docker build -f deploy/docker/portal.Dockerfile -t llm-ops-portal .
FROM node:22-slim AS assets
WORKDIR /assets
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM python:3.11-slim AS packages
RUN python -m venv /venv
COPY requirements/base.txt /requirements.txt
RUN /venv/bin/pip install --no-cache-dir -r /requirements.txt

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin portal
WORKDIR /app
COPY --from=packages /venv /venv
COPY --from=assets /assets/node_modules ./node_modules
COPY manage.py ./
COPY llmops ./llmops
COPY apps ./apps
COPY workers/__init__.py ./workers/__init__.py
COPY workers/contracts ./workers/contracts
COPY templates ./templates
COPY static ./static
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=llmops.settings.production \
    LLMOPS_VAR_DIR=/var/lib/llmops
RUN mkdir -p /var/lib/llmops \
    && SECRET_KEY=only-while-building DATABASE_URL= REDIS_URL= python manage.py collectstatic --noinput \
    && chown -R portal /var/lib/llmops
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["uvicorn", "llmops.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--proxy-headers"]
