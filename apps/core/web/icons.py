"""Icons as inline SVG.

Icons come one file each from the `@tabler/icons` package (settings.ICONS_DIR). Inlining the few that a page
uses costs some hundred bytes; the web font would cost every newcomer half a megabyte before the first paint.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString

_NAME = re.compile(r"[a-z0-9-]+(?:/[a-z0-9-]+)?")
_BODY = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)
# Shown when the package is missing or the name is wrong: a plain circle, so that pages still work.
_FALLBACK = '<circle cx="12" cy="12" r="8"/>'


def icon_svg(name: str, css: str = "") -> SafeString:
    """SVG of icon `name` ("database", or "filled/star"); an unknown name gives a plain circle."""
    filled = name.startswith("filled/")
    paint = 'fill="currentColor"' if filled else 'fill="none" stroke="currentColor" stroke-width="1.75"'
    return format_html(
        '<svg class="icon{}" width="20" height="20" viewBox="0 0 24 24" {} stroke-linecap="round"'
        ' stroke-linejoin="round" aria-hidden="true" focusable="false">{}</svg>',
        f" {css}" if css else "",
        SafeString(paint),
        _body(name),
    )


@lru_cache(maxsize=512)
def _body(name: str) -> SafeString:
    if not _NAME.fullmatch(name or ""):
        return SafeString(_FALLBACK)
    folder = Path(getattr(settings, "ICONS_DIR", settings.BASE_DIR / "node_modules/@tabler/icons/icons"))
    path = folder / f"{name if '/' in name else f'outline/{name}'}.svg"
    try:
        found = _BODY.search(path.read_text(encoding="utf-8"))
    except OSError:
        return SafeString(_FALLBACK)
    body = found.group(1) if found else _FALLBACK
    return SafeString(re.sub(r'\s*<path stroke="none" d="M0 0h24v24H0z" fill="none"\s*/>\s*', "", body).strip())
