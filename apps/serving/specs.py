"""What a revision runs with: read from a request, completed from settings, checked, kept as a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from django.conf import settings

from apps.core.errors import FieldError, ValidationFailed
from apps.core.quantities import cpu_cores, memory_bytes
from apps.integrations.runtimes import runtime_for_image, runtime_get, runtime_keys

MAX_REPLICAS = 100
_LIMITS = ("cpu_request", "cpu_limit", "memory_request", "memory_limit")
_QUANTITIES: dict[str, Callable[[str], Decimal | int]] = {"cpu": cpu_cores, "memory": memory_bytes}
_CAMEL = {
    "cpu_request": "cpuRequest",
    "cpu_limit": "cpuLimit",
    "memory_request": "memoryRequest",
    "memory_limit": "memoryLimit",
    "serving_framework": "servingFramework",
    "serving_runtime_image": "servingRuntimeImage",
    "deployment_spec": "deploymentSpec",
    "use_gpu": "useGpu",
    "autoscale_policy": "autoscalePolicy",
    "min_replicas": "minReplicas",
    "max_replicas": "maxReplicas",
}


@dataclass(frozen=True, slots=True)
class ServingSpec:
    """Everything that decides how a model is served; quantities as Kubernetes writes them."""

    framework: str
    image: str = ""
    use_gpu: bool = False
    gpu_count: int = 0
    cpu_request: str = "1"
    cpu_limit: str = "2"
    memory_request: str = "1Gi"
    memory_limit: str = "6Gi"
    min_replicas: int = 1
    max_replicas: int = 1
    autoscale_policy: dict[str, Any] | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    deployment_spec: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The snapshot."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ServingSpec:
        """A stored snapshot; keys of other versions are ignored."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})


def spec_build(
    *,
    wanted: Mapping[str, Any],
    external_runtime: str | None,
    model_family: str,
    base: ServingSpec | None = None,
) -> ServingSpec:
    """The complete specification of a new revision.

    ``wanted`` holds the request's fields in snake_case, absent or ``None`` where nothing was said; ``base`` is
    the revision before, whose choices hold where nothing was said. ``external_runtime`` is set for models that
    run at a provider. Raises ``ValidationFailed`` naming every wrong field.
    """
    errors: list[FieldError] = []
    detail = _deployment_spec(wanted.get("deployment_spec"), model_family, errors)
    said = {name: value for name, value in wanted.items() if value is not None and value != ""}
    use_gpu = _use_gpu(said, detail, base, external_runtime, errors)
    image = str(said.get("serving_runtime_image", base.image if base else ""))
    framework = external_runtime or _framework(said, image, base, errors)
    # Limits of the revision before hold only while it ran on the same kind of machine.
    same_kind = base is not None and base.use_gpu == use_gpu
    limits: dict[str, Any] = {
        name: str(said.get(name) or (getattr(base, name) if same_kind else settings.SERVING_LIMITS[use_gpu][name]))
        for name in _LIMITS
    }
    _check_limits(limits, errors)
    low, high = _replicas(said, base, errors)
    policy = said.get("autoscale_policy", base.autoscale_policy if base else None)
    if policy is not None and not isinstance(policy, dict):
        _add(errors, "autoscale_policy", 'must be an object such as {"cpuUtilization": 70}')
    runtime = (detail or {}).get("runtime") or {}
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)
    gpus = int(((detail or {}).get("resources") or {}).get("gpus") or settings.SERVING_GPU_COUNT)
    return ServingSpec(
        framework=framework,
        image=image,
        use_gpu=use_gpu,
        gpu_count=gpus if use_gpu else 0,
        min_replicas=low,
        max_replicas=high,
        autoscale_policy=policy,
        max_input_tokens=runtime.get("max_input_tokens", base.max_input_tokens if base else None),
        max_output_tokens=runtime.get("max_output_tokens", base.max_output_tokens if base else None),
        deployment_spec=detail if detail is not None else (base.deployment_spec if base else None),
        **limits,
    )


def _add(errors: list[FieldError], name: str, message: str, code: str = "invalid") -> None:
    spelled = _CAMEL.get(name, name)
    errors.append(FieldError(spelled, code, f"{spelled} {message}."))


def _use_gpu(
    said: Mapping[str, Any],
    detail: Mapping[str, Any] | None,
    base: ServingSpec | None,
    external_runtime: str | None,
    errors: list[FieldError],
) -> bool:
    inner = (detail or {}).get("use_gpu")
    outer = said.get("use_gpu")
    if isinstance(inner, bool) and isinstance(outer, bool) and inner != outer:
        _add(errors, "use_gpu", "contradicts deploymentSpec.use_gpu; say the same in both, or in one only")
    if external_runtime is not None:
        return False
    for value in (outer, inner):
        if isinstance(value, bool):
            return value
    return base.use_gpu if base is not None else bool(settings.SERVING_USE_GPU)


def _framework(said: Mapping[str, Any], image: str, base: ServingSpec | None, errors: list[FieldError]) -> str:
    named = said.get("serving_framework")
    guessed = runtime_for_image(image) if said.get("serving_runtime_image") else None
    launched = [key for key in runtime_keys() if runtime_get(key).launched]
    if named is not None and named not in launched:
        _add(errors, "serving_framework", f"must be one of {', '.join(launched)}, not {str(named)[:60]!r}", "unknown")
        return settings.SERVING_DEFAULT_FRAMEWORK
    if named is not None and guessed is not None and named != guessed:
        _add(errors, "serving_framework", f"is {named}, but servingRuntimeImage holds {guessed}; make them agree")
    return str(named or guessed or (base.framework if base else settings.SERVING_DEFAULT_FRAMEWORK))


def _check_limits(limits: Mapping[str, str], errors: list[FieldError]) -> None:
    values: dict[str, Decimal | int] = {}
    for name, text in limits.items():
        try:
            values[name] = _QUANTITIES[name.partition("_")[0]](text)
        except ValueError as error:
            _add(errors, name, f"must be a Kubernetes quantity such as 500m or 4Gi: {error}")
    for kind in ("cpu", "memory"):
        low, high = values.get(f"{kind}_request"), values.get(f"{kind}_limit")
        if low is not None and high is not None and low > high:
            _add(errors, f"{kind}_request", f"is larger than {kind}Limit ({limits[f'{kind}_limit']})", "out_of_range")


def _replicas(said: Mapping[str, Any], base: ServingSpec | None, errors: list[FieldError]) -> tuple[int, int]:
    low = said.get("min_replicas", base.min_replicas if base else 1)
    high = said.get("max_replicas", max(base.max_replicas, low) if base else low)
    for name, value in (("min_replicas", low), ("max_replicas", high)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_REPLICAS:
            _add(errors, name, f"must be a whole number from 1 to {MAX_REPLICAS}", "out_of_range")
            return 1, 1
    if low > high:
        _add(errors, "min_replicas", f"must not be larger than maxReplicas ({high})", "out_of_range")
    return low, high


def _deployment_spec(value: Any, model_family: str, errors: list[FieldError]) -> dict[str, Any] | None:
    if value in (None, {}):
        return None
    if not isinstance(value, dict):
        _add(errors, "deployment_spec", "must be an object")
        return None
    family = value.get("model_family")
    if family and model_family and str(family).lower() != model_family.lower():
        _add(
            errors,
            "deploymentSpec.model_family",
            f"is {str(family)[:60]!r}, but the model's family is {model_family!r}",
        )
    target = value.get("serve_target", "GENERATION")
    if target == "RAG":
        _add(errors, "deploymentSpec.serve_target", "RAG is not served yet; use GENERATION", "unsupported")
    elif target != "GENERATION":
        _add(errors, "deploymentSpec.serve_target", "must be GENERATION")
    _resources(value.get("resources"), errors)
    _runtime(value.get("runtime"), errors)
    _rollout(value.get("rollout"), errors)
    if not isinstance(value.get("use_gpu", False), bool):
        _add(errors, "deploymentSpec.use_gpu", "must be true or false")
    return value


def _resources(value: Any, errors: list[FieldError]) -> None:
    if value is None:
        return
    gpus = value.get("gpus", 0) if isinstance(value, dict) else None
    if isinstance(gpus, bool) or not isinstance(gpus, int) or not 0 <= gpus <= 64:
        _add(errors, "deploymentSpec.resources.gpus", "must be a whole number from 0 to 64")


def _runtime(value: Any, errors: list[FieldError]) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        _add(errors, "deploymentSpec.runtime", "must be an object")
        return
    for name in ("max_concurrent_requests", "max_input_tokens", "max_output_tokens"):
        number = value.get(name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 2**24):
            _add(errors, f"deploymentSpec.runtime.{name}", "must be a whole number of at least 1")


def _rollout(value: Any, errors: list[FieldError]) -> None:
    if value is None:
        return
    if not isinstance(value, dict) or value.get("strategy") not in ("blue-green", "canary"):
        _add(errors, "deploymentSpec.rollout.strategy", "must be blue-green or canary")
        return
    split = value.get("traffic_split")
    if split is not None and not (
        isinstance(split, dict)
        and all(isinstance(split.get(side), int) and 0 <= split[side] <= 100 for side in ("old", "new"))
        and split["old"] + split["new"] == 100
    ):
        _add(errors, "deploymentSpec.rollout.traffic_split", "must be {old, new} with two percentages that make 100")
        return
    if value["strategy"] == "canary" or (split is not None and split["new"] != 100):
        _add(
            errors,
            "deploymentSpec.rollout",
            "with divided traffic is not served yet; use blue-green, which switches once the new revision answers",
            "unsupported",
        )
