"""What a local workload finds in its environment. Stdlib only.

What a workload may inherit is listed; everything else in the portal's environment (database address, secret
key, provider keys) stays with the portal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

SYSTEM = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")
LIBRARIES = ("VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
THREADS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")
MODELS = ("HF_HOME", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
ACCELERATORS = ("CUDA_HOME", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
ALLOWED = frozenset(SYSTEM + LIBRARIES + THREADS + MODELS + ACCELERATORS)
ALLOWED_PREFIXES = ("LC_",)


def workload_environment(*added: Mapping[str, str]) -> dict[str, str]:
    """Return the inherited variables, overlaid with `added` in order."""
    found = {key: value for key, value in os.environ.items() if key in ALLOWED or key.startswith(ALLOWED_PREFIXES)}
    for layer in added:
        found.update(layer)
    return found
