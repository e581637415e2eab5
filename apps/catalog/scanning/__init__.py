"""Safety scan of model files: pickle opcodes, safetensors and GGUF headers, configuration, tokenizers.

Nothing here loads a model or imports Django; :func:`scan_directory` does the reading in a separate process
with limits. :func:`classify` and :func:`missing_files` are plain look-ups.
"""

from apps.catalog.scanning.formats import ALLOWED_SUFFIXES, FileKind, classify, missing_files
from apps.catalog.scanning.runner import ScannerBroken, scan_directory
from apps.catalog.scanning.types import FileReport, ModelFacts, ModelReport, Reason, Verdict

__all__ = [
    "ALLOWED_SUFFIXES",
    "FileKind",
    "FileReport",
    "ModelFacts",
    "ModelReport",
    "Reason",
    "ScannerBroken",
    "Verdict",
    "classify",
    "missing_files",
    "scan_directory",
]
