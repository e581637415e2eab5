"""``transformers serve`` with every request's own temperature.

    python -m workers.transformers_serve MODEL_DIRECTORY [the options of ``transformers serve``]

With continuous batching, ``transformers serve`` (5.23) samples every request of a process's life as its first one
asked, although the library under it takes a temperature per request. This starts the very same program with the
two connected. A request without a temperature is answered as the model's own generation config says; temperature
0 is greedy. ``top_p`` per request would cost a sort of the vocabulary per token on CPU and is left out.
"""

from __future__ import annotations

import copy
import logging
import sys
from typing import Any

from transformers import ContinuousBatchingConfig
from transformers.cli.serving.utils import CBGenerateManager
from transformers.cli.transformers import main

#: As good as greedy, and finite: the largest logits divided by it are far below float32's limit.
GREEDY = 1e-4
_COMMON_DEFAULT = 0.7


def temperature_of(config: Any) -> float:
    """What a request's merged generation config asks for, as a divisor of the logits.

    The server merges the request into the model's config; a request with temperature 0 turns sampling off there,
    one with another temperature leaves the model's own ``do_sample`` as it was.
    """
    if config.temperature is None:
        return 1.0 if config.do_sample else GREEDY
    return max(float(config.temperature), GREEDY)


def connect(manager: type[Any]) -> None:
    """Make ``manager`` hand each request's temperature to the batch."""
    begin = manager.init_cb

    def init_cb(self: Any, model: Any, gen_config: Any) -> None:
        # Called for each request right before it is added, without a pause in between.
        self.wanted = gen_config
        known: Any = self._cb
        if known is not None:
            return
        shared = copy.deepcopy(gen_config)
        # Anything but 1, or the step that divides by the temperature would be left out for good.
        shared.temperature, shared.do_sample = _COMMON_DEFAULT, True
        shared.top_k, shared.top_p = None, None
        self._cb_config = self._cb_config or ContinuousBatchingConfig()
        self._cb_config.per_request_processors = True
        begin(self, model, shared)
        add = self._cb.add_request

        def add_request(*arguments: Any, **options: Any) -> Any:
            return add(*arguments, temperature=temperature_of(self.wanted), **options)

        self._cb.add_request = add_request

    manager.init_cb = init_cb


def is_telling(record: logging.LogRecord) -> bool:
    """Whether an access line is worth keeping: the portal asks for the health every few seconds."""
    return "GET /health " not in record.getMessage()


if __name__ == "__main__":
    logging.getLogger("uvicorn.access").addFilter(is_telling)
    connect(CBGenerateManager)
    sys.argv = ["transformers", "serve", *sys.argv[1:]]
    main()
