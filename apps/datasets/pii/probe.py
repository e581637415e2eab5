"""Run as a program of its own: tries a pattern on texts that make careless patterns run away.

Reads ``{"pattern", "flags", "texts", "seconds"}`` from standard input, writes the number of each text before it is
tried; a process that is killed for its processor time has named the text that did it.
"""

import json
import re
import resource
import sys


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Try them all."""
    asked = json.load(sys.stdin)
    seconds = int(asked["seconds"])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    compiled = re.compile(asked["pattern"], asked["flags"])
    for number, text in enumerate(asked["texts"]):
        _say(str(number))
        for _match in compiled.finditer(text):
            pass
    _say("done")


if __name__ == "__main__":
    main()
