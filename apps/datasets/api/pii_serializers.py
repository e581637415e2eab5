"""Shapes of the API of PII rules and of marks on findings."""

from __future__ import annotations

from rest_framework import serializers

from apps.accounts.api.fields import TeamSlugField, UsernameField
from apps.core.api.serializers import ApiSerializer, StrictJSONObject
from apps.datasets.pii import MASKS
from apps.datasets.types import MarkScope, MarkStatus


class PiiRuleSerializer(ApiSerializer):
    """A rule as it counts now."""

    id = serializers.UUIDField()
    key = serializers.CharField()
    owner_team = TeamSlugField(source="team")
    type = serializers.CharField()
    name = serializers.CharField()
    pattern = serializers.CharField()
    validator = serializers.CharField()
    regions = serializers.CharField()
    confidence = serializers.FloatField()
    mask = serializers.ChoiceField(choices=list(MASKS))
    position = serializers.IntegerField()
    enabled = serializers.BooleanField()
    version = serializers.IntegerField()
    retired_at = serializers.DateTimeField(allow_null=True)
    created_by = UsernameField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class PiiRuleChangeSerializer(ApiSerializer):
    """What changes; what is left out stays."""

    type = serializers.CharField(required=False)
    name = serializers.CharField(required=False)
    pattern = serializers.CharField(required=False, trim_whitespace=False)
    validator = serializers.CharField(required=False, allow_blank=True)
    regions = serializers.CharField(required=False, allow_blank=True)
    confidence = serializers.FloatField(required=False)
    mask = serializers.CharField(required=False)
    position = serializers.IntegerField(required=False)
    enabled = serializers.BooleanField(required=False)
    note = serializers.CharField(required=False, allow_blank=True, default="")


class PiiRuleCreateSerializer(PiiRuleChangeSerializer):
    """A new rule; without ``ownerTeam`` it counts for every team."""

    key = serializers.CharField()
    owner_team = serializers.CharField(required=False, allow_blank=True, allow_null=True, default="")
    type = serializers.CharField()
    name = serializers.CharField()
    pattern = serializers.CharField(trim_whitespace=False)
    confidence = serializers.FloatField()


class PiiRuleRetireSerializer(ApiSerializer):
    """Why."""

    note = serializers.CharField(required=False, allow_blank=True, default="")


class PiiRuleVersionSerializer(ApiSerializer):
    """What a rule said from a moment on."""

    version = serializers.IntegerField()
    content = serializers.JSONField()
    note = serializers.CharField()
    created_by = UsernameField()
    created_at = serializers.DateTimeField()


class PiiTrySerializer(ApiSerializer):
    """A text to try the rules of a team on (or the global ones), or one rule that is still being written."""

    text = serializers.CharField(trim_whitespace=False)
    owner_team = serializers.CharField(required=False, allow_blank=True, allow_null=True, default="")
    rule = StrictJSONObject(required=False, allow_null=True, default=None)


class PiiTryFindingSerializer(ApiSerializer):
    """A find in that text; ``span`` counts characters, half-open."""

    rule = serializers.CharField()
    type = serializers.CharField()
    span = serializers.ListField(child=serializers.IntegerField())
    text = serializers.CharField()
    example = serializers.CharField()
    confidence = serializers.FloatField()


class PiiTryAnswerSerializer(ApiSerializer):
    """All finds."""

    findings = PiiTryFindingSerializer(many=True)


class PiiMarkSerializer(ApiSerializer):
    """A mark “this is no personal data”."""

    id = serializers.UUIDField()
    scope = serializers.ChoiceField(choices=[word.value for word in MarkScope])
    status = serializers.ChoiceField(choices=[word.value for word in MarkStatus])
    type = serializers.CharField()
    column = serializers.CharField()
    row = serializers.IntegerField(allow_null=True)
    path = serializers.CharField()
    count = serializers.IntegerField()
    reason = serializers.CharField()
    created_by = UsernameField()
    created_at = serializers.DateTimeField()
    decided_by = UsernameField()
    decided_at = serializers.DateTimeField(allow_null=True)


class PiiMarkCreateSerializer(ApiSerializer):
    """One finding by its id, or all of a type in a column; and why."""

    finding_id = serializers.CharField(required=False, allow_blank=True, allow_null=True, default="")
    column = serializers.CharField(required=False, allow_blank=True, default="", trim_whitespace=False)
    type = serializers.CharField(required=False, allow_blank=True, default="")
    reason = serializers.CharField(allow_blank=True)


class PiiMarkDecideSerializer(ApiSerializer):
    """confirm, refuse or undo."""

    decision = serializers.CharField()
    reason = serializers.CharField(required=False, allow_blank=True, default="")
