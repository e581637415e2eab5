"""Quality: statistics of columns and a score of five explained components."""

from apps.datasets.quality.components import Component
from apps.datasets.quality.profile import profile
from apps.datasets.quality.score import COMPONENTS, DEFAULT_WEIGHTS, Quality, assess, examine

__all__ = ["COMPONENTS", "DEFAULT_WEIGHTS", "Component", "Quality", "assess", "examine", "profile"]
