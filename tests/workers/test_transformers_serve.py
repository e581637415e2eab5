"""What the launcher of ``transformers serve`` adds: each request's own temperature."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from workers.transformers_serve import GREEDY, connect, is_telling, temperature_of


@pytest.mark.parametrize(
    ("temperature", "do_sample", "expected"),
    [(0.0, False, GREEDY), (0.7, False, 0.7), (None, False, GREEDY), (None, True, 1.0), (1.5, True, 1.5)],
)
def test_temperature_of_a_request(temperature: float | None, do_sample: bool, expected: float) -> None:
    """FR-006l: zero and the model's own greedy default are greedy; what is asked for is used."""
    assert temperature_of(SimpleNamespace(temperature=temperature, do_sample=do_sample)) == expected


def test_every_request_carries_its_own_temperature() -> None:
    """FR-006l: the batch is begun once, with a step for temperatures; each request is added with its own."""
    added: list[dict[str, Any]] = []
    begun: list[Any] = []

    class Manager:
        """Stands for the program's manager of one batch."""

        _cb: Any = None
        _cb_config: Any = None

        def init_cb(self, model: Any, gen_config: Any) -> None:
            """Begin the batch."""
            begun.append(gen_config)
            self._cb = SimpleNamespace(add_request=lambda *given, **options: added.append(options))

    connect(Manager)
    manager = Manager()
    for temperature in (0.2, 1.0, 0.0):
        config = SimpleNamespace(temperature=temperature, do_sample=False, top_k=50, top_p=None)
        manager.init_cb(None, config)
        manager._cb.add_request([1, 2], max_new_tokens=4)
    assert [one["temperature"] for one in added] == [0.2, 1.0, GREEDY]
    assert [one["max_new_tokens"] for one in added] == [4, 4, 4]
    assert len(begun) == 1
    assert (begun[0].do_sample, begun[0].top_k) == (True, None)
    assert manager._cb_config.per_request_processors is True


@pytest.mark.parametrize(("path", "kept"), [("/health", False), ("/v1/chat/completions", True), ("/healthy", True)])
def test_health_probes_stay_out_of_the_log(path: str, kept: bool) -> None:
    """FR-006k: a person who reads the model server's log sees calls, not the portal's own probes."""
    arguments = ("127.0.0.1:5000", "GET", path, "1.1", 200)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', arguments, None)
    assert is_telling(record) is kept
