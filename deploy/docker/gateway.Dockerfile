# The gateway alone, from the portal's image: chat and the OpenAI-compatible surface scale on their own.
# Build: docker build -f deploy/docker/gateway.Dockerfile --build-arg PORTAL=llm-ops-portal -t llm-ops-gateway .
ARG PORTAL=llm-ops-portal
FROM ${PORTAL}
CMD ["uvicorn", "llmops.gateway:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--proxy-headers"]
