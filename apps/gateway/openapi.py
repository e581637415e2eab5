"""The gateway's paths in the OpenAPI document: Django knows nothing of them, so they are described here."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_CODES = ("400", "401", "403", "404", "405", "413", "415", "429", "500", "502", "503", "504")
_SECURITY: list[Json] = [{"bearer": []}, {"session": []}]
_ENVIRONMENT: Json = {
    "in": "query",
    "name": "environment",
    "schema": {"type": "string", "enum": ["dev", "stg", "prod"]},
    "description": "Which environment; without it prod, then stg, then dev.",
}
_MESSAGE: Json = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"type": "string", "enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"type": "string"},
    },
}
_SAMPLING: Json = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "max_tokens": {"type": "integer", "minimum": 1},
    "stop": {"oneOf": [{"type": "string"}, {"type": "array", "maxItems": 4, "items": {"type": "string"}}]},
    "seed": {"type": "integer"},
    "stream": {"type": "boolean", "default": False},
}
_USAGE: Json = {
    "type": "object",
    "nullable": True,
    "properties": {
        "prompt_tokens": {"type": "integer"},
        "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"},
    },
}
_SCHEMAS: dict[str, Json] = {
    "ChatRequest": {
        "type": "object",
        "required": ["messages"],
        "properties": {
            "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
            **_SAMPLING,
            "temperature": {**_SAMPLING["temperature"], "default": 0.7},
            "max_tokens": {**_SAMPLING["max_tokens"], "default": 500},
            "template": {"type": "string", "description": "Name of a live prompt template."},
        },
    },
    "ChatAnswer": {
        "type": "object",
        "required": ["choices", "usage"],
        "properties": {
            "id": {"type": "string"},
            "model": {"type": "string", "description": "The route."},
            "created": {"type": "integer", "nullable": True},
            "choices": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "index": {"type": "integer"},
                        "message": {"type": "object", "additionalProperties": True},
                        "finish_reason": {"type": "string", "nullable": True},
                    },
                },
            },
            "usage": _USAGE,
            "latencyMs": {"type": "number"},
        },
    },
    "RouteHealth": {
        "type": "object",
        "properties": {
            "route": {"type": "string"},
            "environment": {"type": "string"},
            "status": {"type": "string"},
            "serving": {"type": "boolean"},
            "statusDetail": {"type": "string"},
            "modelName": {"type": "string"},
            "version": {"type": "string"},
            "revision": {"type": "integer"},
            "lastHealthCheck": {"type": "string", "format": "date-time", "nullable": True},
            "latencyMs": {"type": "number", "nullable": True},
        },
    },
    "OpenAIError": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": "string", "nullable": True},
                    "code": {"type": "string", "nullable": True},
                },
            }
        },
    },
    "OpenAIChatRequest": {
        "type": "object",
        "required": ["model", "messages"],
        "additionalProperties": True,
        "properties": {
            "model": {"type": "string", "description": "Name of a route."},
            "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
            **_SAMPLING,
            "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
        },
    },
    "OpenAICompletionRequest": {
        "type": "object",
        "required": ["model", "prompt"],
        "additionalProperties": True,
        "properties": {
            "model": {"type": "string", "description": "Name of a route."},
            "prompt": {"type": "string", "minLength": 1},
            **_SAMPLING,
        },
    },
    "OpenAIModel": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "object": {"type": "string"},
            "created": {"type": "integer"},
            "owned_by": {"type": "string"},
        },
    },
}


def add_gateway_paths(result: Json, generator: Any, request: Any, public: bool) -> Json:
    """A post-processing hook of drf-spectacular."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in _SCHEMAS.items():
        schemas.setdefault(name, schema)
    result["paths"].update(_paths())
    return result


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _envelope(name: str) -> Json:
    return {
        "type": "object",
        "required": ["status", "message", "data"],
        "properties": {
            "status": {"type": "string", "enum": ["success"]},
            "message": {"type": "string"},
            "data": _ref(name),
        },
    }


def _path_parameter(name: str, description: str) -> Json:
    return {"in": "path", "name": name, "required": True, "schema": {"type": "string"}, "description": description}


def _operation(
    operation: str,
    summary: str,
    *,
    answer: Json,
    failure: str,
    tag: str,
    parameters: list[Json],
    request: str = "",
    streams: bool = False,
) -> Json:
    content: Json = {"application/json": {"schema": answer}}
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    described: Json = {
        "operationId": operation,
        "summary": summary,
        "tags": [tag],
        "security": _SECURITY,
        "parameters": parameters,
        "responses": {
            "200": {"description": "", "content": content},
            **{
                code: {"description": "", "content": {"application/json": {"schema": _ref(failure)}}} for code in _CODES
            },
        },
    }
    if request:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(request)}}}
    return described


def _paths() -> dict[str, Json]:
    route = _path_parameter("route", "Name of a route.")
    portal: Json = {"failure": "Failure", "tag": "serve"}
    openai: Json = {"failure": "OpenAIError", "tag": "openai"}
    anything: Json = {"type": "object", "additionalProperties": True}
    models: Json = {
        "type": "object",
        "properties": {"object": {"type": "string"}, "data": {"type": "array", "items": _ref("OpenAIModel")}},
    }
    return {
        "/llm-ops/v1/serve/{route}/chat": {
            "post": _operation(
                "post_serve_route_chat",
                "Chat with the model behind a route",
                answer=_envelope("ChatAnswer"),
                request="ChatRequest",
                streams=True,
                parameters=[route, _ENVIRONMENT],
                **portal,
            )
        },
        "/llm-ops/v1/serve/{route}/health": {
            "get": _operation(
                "get_serve_route_health",
                "Whether a route answers now",
                answer=_envelope("RouteHealth"),
                parameters=[route, _ENVIRONMENT],
                **portal,
            )
        },
        "/llm-ops/v1/inference/{modelName}": {
            "post": _operation(
                "post_inference_modelName",
                "Chat with a model by its catalog name",
                answer=_envelope("ChatAnswer"),
                request="ChatRequest",
                streams=True,
                parameters=[_path_parameter("modelName", "Name of a catalog model."), _ENVIRONMENT],
                **{**portal, "tag": "inference"},
            )
        },
        "/v1/chat/completions": {
            "post": _operation(
                "post_chat_completions",
                "OpenAI: chat completions",
                answer=anything,
                request="OpenAIChatRequest",
                streams=True,
                parameters=[_ENVIRONMENT],
                **openai,
            )
        },
        "/v1/completions": {
            "post": _operation(
                "post_completions",
                "OpenAI: text completions",
                answer=anything,
                request="OpenAICompletionRequest",
                streams=True,
                parameters=[_ENVIRONMENT],
                **openai,
            )
        },
        "/v1/models": {
            "get": _operation(
                "get_models", "OpenAI: the routes that one may call", answer=models, parameters=[], **openai
            )
        },
        "/v1/models/{model}": {
            "get": _operation(
                "get_models_model",
                "OpenAI: one route",
                answer=_ref("OpenAIModel"),
                parameters=[_path_parameter("model", "Name of a route.")],
                **openai,
            )
        },
    }
