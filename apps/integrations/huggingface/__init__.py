"""The Hugging Face Hub, or a mirror of it, behind one port."""

from apps.integrations.huggingface.ports import Hub, HubError, HubFile, HubModel
from apps.integrations.huggingface.registry import model_hub

__all__ = ["Hub", "HubError", "HubFile", "HubModel", "model_hub"]
