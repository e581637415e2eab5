"""A server process with a model server's routes: ``small_server.py PORT MODEL_DIR [die|mute]``."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL_DIR = sys.argv[2]
HABIT = sys.argv[3] if len(sys.argv) > 3 else ""


class Handler(BaseHTTPRequestHandler):
    """Health and chat."""

    def do_GET(self) -> None:
        """Health."""
        self._answer(200, {"status": "ok"})

    def do_POST(self) -> None:
        """One fixed answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if HABIT == "mute" or body["model"] != MODEL_DIR:
            self._answer(500, {"error": "cannot"})
            return
        message = {"role": "assistant", "content": "Hello."}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._answer(200, {"model": MODEL_DIR, "choices": [choice], "usage": usage})

    def _answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


if __name__ == "__main__":
    if HABIT == "die" or not Path(MODEL_DIR, "config.json").is_file():
        sys.exit("cannot load the model")
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
