# Trainer and evaluator: PyTorch and Transformers, no Django. TORCH_INDEX picks the build of torch
# (for example the CPU-only one); the default is the registry's, with CUDA.
# Build: docker build -f deploy/docker/trainer.Dockerfile -t llm-ops-trainer .
FROM python:3.11-slim AS packages
ARG TORCH_INDEX=""
RUN python -m venv /venv
COPY requirements/workers.txt /requirements.txt
RUN if [ -n "$TORCH_INDEX" ]; then /venv/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' /requirements.txt)"; fi \
    && /venv/bin/pip install --no-cache-dir -r /requirements.txt

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /work --shell /usr/sbin/nologin trainer
WORKDIR /app
COPY --from=packages /venv /venv
COPY workers ./workers
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/app \
    OMP_WAIT_POLICY=PASSIVE \
    HF_HUB_OFFLINE=1
USER 10001
ENTRYPOINT ["python", "-m"]
CMD ["workers.trainer", "--help"]
