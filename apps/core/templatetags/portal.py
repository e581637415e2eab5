"""Template tags of every page: `{% load portal %}`.

Small translations from values to what people read (sizes, durations, states, money) and the few elements that
pages share (icons, navigation, sortable heads, form fields). Nothing here decides what may be seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django import template
from django.core.paginator import Page
from django.forms import (
    BoundField,
    CheckboxInput,
    CheckboxSelectMultiple,
    DateField,
    DateTimeField,
    RadioSelect,
    Select,
    SelectMultiple,
    TextInput,
)
from django.template import Context
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.web import icons, markdown_text, statuses
from apps.core.web.navigation import navigation_groups

register = template.Library()
NOTHING = "\N{EN DASH}"  # shown where there is no value


# ── elements ──


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Inline SVG of the Tabler icon `name` (https://tabler.io/icons); hidden from screen readers."""
    return icons.icon_svg(name, css)


@register.inclusion_tag("components/navigation.html", takes_context=True)
def main_navigation(context: Context) -> dict[str, Any]:
    """The sidebar's groups, with the current place marked."""
    request = context.get("request")
    return {"groups": navigation_groups(request) if request is not None else []}


@register.simple_tag
def url_or_none(name: str, *args: Any, **kwargs: Any) -> str | None:
    """Address of a page, or None where that page is not installed."""
    try:
        return reverse(name, args=args, kwargs=kwargs)
    except NoReverseMatch:
        return None


@register.simple_tag(takes_context=True)
def query_with(context: Context, **changes: Any) -> str:
    """The current query string with `changes` applied; None or "" removes a key. Starts with "?"."""
    request = context["request"]
    query = request.GET.copy()
    for key, value in changes.items():
        if value is None or value == "":
            query.pop(key, None)
        else:
            query[key] = str(value)
    return "?" + query.urlencode()


@register.inclusion_tag("components/sort_head.html", takes_context=True)
def sort_head(context: Context, key: str, label: str, target: str = "table", css: str = "") -> dict[str, Any]:
    """A `<th>` that sorts the list by `key` (a key of the filter set's ORDERING); a second click turns
    round."""
    request = context["request"]
    current = request.GET.get("order", "") or context.get("order", "") or ""
    direction = {key: "ascending", f"-{key}": "descending"}.get(current, "")
    query = request.GET.copy()
    query.pop("page", None)
    query["order"] = f"-{key}" if direction == "ascending" else key
    return {
        "label": label,
        "direction": direction,
        "url": "?" + query.urlencode(),
        "target": target,
        "css": css,
    }


@register.simple_tag
def status_badge(status: Any, label: str = "") -> SafeString:
    """Badge of a state: colour, icon and word together, so that colour is never the only carrier."""
    return _badge(status, str(label))


@lru_cache(maxsize=1_024)
def _badge(status: Any, label: str) -> SafeString:
    """The badge is a function of these two words, and a list shows it in every row."""
    return render_to_string("components/status_badge.html", {"status": status, "label": label})


@register.inclusion_tag("components/field.html")
def field(field: BoundField, **attrs: Any) -> dict[str, Any]:
    """One form field: label, widget, help and errors, tied together for assistive technology."""
    widget = field.field.widget
    is_group = isinstance(widget, RadioSelect | CheckboxSelectMultiple)
    is_check = isinstance(widget, CheckboxInput)
    described = [
        f"{field.auto_id}_{part}" for part, present in (("help", field.help_text), ("error", field.errors)) if present
    ]
    if isinstance(widget, Select) and not isinstance(widget, SelectMultiple):
        # Django's row of dashes says nothing.
        empty = "Choose …" if field.field.required else "None"
        widget.choices = [
            (value, empty if value in ("", None) and not str(label).strip("-– ") else label)
            for value, label in widget.choices
        ]
    css = _widget_css(field)
    if field.errors:
        css += " is-invalid"
        attrs["aria-invalid"] = "true"
    if described and not is_group:
        attrs["aria-describedby"] = " ".join(described)
    own = widget.attrs.get("class", "")
    attrs["class"] = f"{css} {own} {attrs.get('class', '')}".strip()
    attrs = {key.replace("_", "-"): value for key, value in attrs.items()}
    if is_group:
        # Options are rendered one by one, and take their attributes from the widget.
        widget.attrs["class"] = attrs["class"]
    return {
        "field": field,
        "widget": "" if is_group else field.as_widget(attrs=attrs),
        "options": field.subwidgets if is_group else [],
        "is_check": is_check,
        "is_group": is_group,
        "described_by": " ".join(described),
    }


@register.simple_tag
def filter_widget(field: BoundField) -> SafeString:
    """A field of a filter bar; free text asks while one types."""
    attrs: dict[str, str | bool] = {"class": _widget_css(field)}
    if isinstance(field.field.widget, TextInput) and not field.is_hidden:
        attrs["data-live"] = ""
        attrs["autocomplete"] = "off"
    if field.errors:
        attrs["aria-invalid"] = "true"
        attrs["aria-describedby"] = f"{field.id_for_label}_error"
    widget = field.field.widget
    if isinstance(field.field, DateField | DateTimeField) and isinstance(widget, TextInput):
        widget.input_type = "date"
        attrs.pop("data-live", None)
    if isinstance(widget, Select):
        # Django's row of dashes says nothing.
        choices = [(value, label) for value, label in widget.choices if value != ""]
        widget.choices = choices if isinstance(widget, SelectMultiple) else [("", "Any"), *choices]
    return field.as_widget(attrs=attrs)


def _widget_css(field: BoundField) -> str:
    widget = field.field.widget
    if isinstance(widget, CheckboxInput | RadioSelect | CheckboxSelectMultiple):
        return "form-check-input"
    return "form-select" if isinstance(widget, Select) else "form-control"


@register.simple_tag
def when(moment: datetime | None, empty: str = NOTHING) -> SafeString:
    """`<time>` with the exact moment in UTC; the browser shows it relative ("3 min ago") and keeps it
    current."""
    if moment is None:
        return format_html('<span class="text-secondary">{}</span>', empty)
    utc = moment.astimezone(timezone.get_default_timezone())
    return format_html(
        '<time datetime="{}" data-relative title="{}">{}</time>',
        moment.isoformat(),
        utc.strftime("%Y-%m-%d %H:%M:%S %Z"),
        # Ten times as fast as Django's formatter, which a list calls for every row.
        f"{utc.day} {utc:%b %Y, %H:%M}",
    )


# ── filters ──


@register.filter
def status_tone(status: Any) -> str:
    """neutral | info | success | warning | danger."""
    return statuses.look(status).tone


@register.filter
def status_icon(status: Any) -> str:
    """Icon name of a state."""
    return statuses.look(status).icon


@register.filter
def status_active(status: Any) -> bool:
    """Whether something is going on in this state (the page keeps asking)."""
    return statuses.look(status).active


@register.filter
def status_label(status: Any) -> str:
    """pending_review → Pending review."""
    return statuses.label(status)


@register.filter
def toast_tone(level: str) -> str:
    """Django's message levels and our tones, as a tone."""
    return {"error": "danger", "debug": "info"}.get(level, level)


@register.filter
def toast_icon(level: str) -> str:
    """Icon of a message level or tone."""
    return {"success": "circle-check", "warning": "alert-triangle", "danger": "alert-circle"}.get(
        toast_tone(level or "info"), "info-circle"
    )


@register.filter
def file_size(size: int | None) -> str:
    """1536 → 1.5 KiB (binary units, as the file system counts)."""
    if size is None:
        return NOTHING
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            return f"{int(value)} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return NOTHING


@register.filter
def duration(value: timedelta | float | Decimal | None) -> str:
    """A timedelta or seconds → 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if value is None:
        return NOTHING
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 0:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    whole = int(seconds)
    for size, name, lower, lower_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // lower
            return f"{whole // size} {name} {rest} {lower_name}" if rest else f"{whole // size} {name}"
    return f"{whole} s"


@register.filter
def since(start: datetime | None, end: datetime | None = None) -> str:
    """Duration from start to end (to now while end is missing)."""
    return duration((end or timezone.now()) - start) if start else NOTHING


@register.filter
def number(value: float | Decimal | None) -> str:
    """1234567 → 1,234,567; fractions keep four significant digits."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, float | Decimal) and value != int(value):
        fraction = float(value)
        return f"{fraction:,.4g}" if abs(fraction) < 1000 else f"{fraction:,.1f}"
    return f"{int(value):,}"


@register.filter
def compact(value: float | Decimal | None) -> str:
    """1234 → 1.2 k, 135000000 → 135 M."""
    if value is None:
        return NOTHING
    amount = float(value)
    for size, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= size:
            return f"{amount / size:.3g} {name}"
    return f"{amount:.3g}"


@register.filter
def money(value: Decimal | float | None, currency: str = "USD") -> str:
    """Amounts under one unit keep the digits that matter: 0.00042 USD."""
    if value is None:
        return NOTHING
    amount = Decimal(str(value))
    if amount == 0:
        return f"0.00 {currency}"
    return f"{amount:,.2f} {currency}" if abs(amount) >= 1 else f"{amount.normalize():.2g} {currency}"


@register.filter
def percent(value: float | Decimal | None, digits: int = 1) -> str:
    """0.534 → 53.4 %."""
    return NOTHING if value is None else f"{float(value) * 100:.{digits}f} %"


@register.filter
def pretty_json(value: Any) -> str:
    """Indented JSON; dates and decimals as text."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


@register.filter
def markdown(text: str | None) -> SafeString:
    """Markdown written by people → sanitised HTML (no images, scripts, styles or raw HTML)."""
    return SafeString(markdown_text.render(text or ""))  # sanitised by nh3 inside render()


@register.filter
def short_id(value: Any) -> str:
    """The first eight characters of an id or digest."""
    return str(value).removeprefix("sha256:")[:8] if value else NOTHING


@register.filter
def person(user: Any) -> str:
    """How a person is called on the page; None is the system."""
    if user is None:
        return "system"
    name = user.get_full_name() if hasattr(user, "get_full_name") else ""
    return name or str(getattr(user, "username", user))


@register.filter
def initials(user: Any) -> str:
    """Two letters for the avatar."""
    words = person(user).replace(".", " ").replace("_", " ").split()
    return "".join(word[0] for word in words[:2]).upper() or "?"


@register.filter
def get_item(mapping: Mapping[Any, Any] | None, key: Any) -> Any:
    """mapping[key], or None."""
    return mapping.get(key) if mapping else None


@register.filter
def page_window(page: Page[Any]) -> Iterator[int | str]:
    """Page numbers round the current one, with … for gaps."""
    yield from page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)
