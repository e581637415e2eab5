"""The built-in rules become rows that administrators may change."""

from __future__ import annotations

from typing import Any

from django.db import migrations

# The product's own list, not a copy of it: a new installation gets the rules of its release.
from apps.datasets.pii.builtin import DEFAULT_RULES


def seed(apps: Any, _schema_editor: Any) -> None:
    """One row and its first version for each rule."""
    rules = apps.get_model("datasets", "PiiRuleRecord")
    versions = apps.get_model("datasets", "PiiRuleVersion")
    for place, rule in enumerate(DEFAULT_RULES, start=1):
        content = {
            "type": rule.type,
            "name": rule.label,
            "pattern": rule.pattern,
            "validator": rule.validator,
            "regions": rule.regions,
            "confidence": rule.confidence,
            "mask": rule.mask,
            "position": place * 10,
            "enabled": True,
        }
        row = rules.objects.create(key=rule.key, **content)
        versions.objects.create(rule=row, version=1, content=content, note="Comes with the product.")


class Migration(migrations.Migration):
    """Rows only."""

    dependencies = [("datasets", "0003_pii_rules")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
