"""Shapes of retention and deletion."""

from __future__ import annotations

from rest_framework import serializers

from apps.accounts.api.fields import TeamSlugField, UsernameField
from apps.core.api.serializers import ApiSerializer


class TombstoneSerializer(ApiSerializer):
    """What is known of a deleted dataset."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.CharField()
    type = serializers.CharField()
    status = serializers.CharField()
    owner_team = TeamSlugField(source="team")
    digest = serializers.CharField()
    rows = serializers.IntegerField(source="row_count", allow_null=True)
    bytes = serializers.IntegerField(source="size_bytes")
    files = serializers.JSONField()
    deleted_by = UsernameField()
    deleted_at = serializers.DateTimeField()
    reason = serializers.CharField()
    files_removed_at = serializers.DateTimeField(allow_null=True)


class BlockerSerializer(ApiSerializer):
    """Something that depends on a dataset."""

    kind = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField(source="label")


class DerivedNameSerializer(ApiSerializer):
    """A dataset that was made from the one in question."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.CharField()


class DeletionPlanSerializer(ApiSerializer):
    """What deleting would do."""

    possible = serializers.BooleanField()
    blockers = BlockerSerializer(many=True)
    derived = DerivedNameSerializer(many=True)
    hidden_derived = serializers.IntegerField()
    files = serializers.IntegerField()
    bytes = serializers.IntegerField(source="size_bytes")


class RetentionSerializer(ApiSerializer):
    """How long an approved dataset is kept."""

    until = serializers.DateField()
    reason = serializers.CharField(max_length=2_000)
