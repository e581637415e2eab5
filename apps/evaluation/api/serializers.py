"""Shapes of the evaluation API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.api.serializers import ApiSerializer, StrictJSONObject
from apps.evaluation import selectors
from apps.evaluation.models import EvaluationRun
from apps.evaluation.services import MAX_BATCH
from apps.evaluation.types import RunStatus, RunType, Verdict

TEXT_LIMIT = 5_000
_BIGGEST = 2**31 - 1


class RunFailureSerializer(ApiSerializer):
    """Why a run failed: a tag from a closed set and a sentence."""

    tag = serializers.CharField()
    message = serializers.CharField()


class SampleSerializer(ApiSerializer):
    """One question with its answer and scores."""

    id = serializers.UUIDField()
    index = serializers.IntegerField()
    row_id = serializers.CharField(allow_blank=True)
    input = serializers.CharField()
    reference = serializers.CharField(allow_blank=True)
    output = serializers.CharField(allow_null=True, allow_blank=True)
    scores = StrictJSONObject()
    latency_ms = serializers.FloatField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    review_count = serializers.IntegerField()
    error = serializers.SerializerMethodField()

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_error(self, sample: Any) -> str | None:
        """``null`` where nothing went wrong."""
        return sample.error or None


class RunSerializer(ApiSerializer):
    """A run as lists show it."""

    id = serializers.UUIDField()
    model_id = serializers.UUIDField()
    model_name = serializers.CharField(source="model.name")
    model_version = serializers.CharField(source="model.version")
    dataset_id = serializers.UUIDField()
    dataset_name = serializers.CharField(source="dataset.name")
    dataset_version = serializers.CharField(source="dataset.version")
    owner_team = serializers.CharField(source="team.slug")
    run_type = serializers.ChoiceField(choices=RunType.choices)
    status = serializers.ChoiceField(choices=RunStatus.choices)
    metrics = StrictJSONObject()
    agreement = StrictJSONObject()
    sample_count = serializers.IntegerField()
    failed_samples = serializers.IntegerField()
    sample_size = serializers.IntegerField(allow_null=True)
    seed = serializers.IntegerField()
    max_new_tokens = serializers.IntegerField()
    source_run_id = serializers.UUIDField(allow_null=True)
    batch_id = serializers.UUIDField(allow_null=True)
    reviews_per_sample = serializers.IntegerField()
    message = serializers.CharField(allow_blank=True)
    failure = serializers.SerializerMethodField()
    submitted_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(source="finished_at", allow_null=True)

    @extend_schema_field(RunFailureSerializer(allow_null=True))
    def get_failure(self, run: EvaluationRun) -> dict[str, str] | None:
        """``null`` unless it failed."""
        if run.status != RunStatus.FAILED:
            return None
        return {"tag": run.failure_tag, "message": run.message}


class ReviewProgressSerializer(ApiSerializer):
    """Reviews needed and done."""

    needed = serializers.IntegerField()
    done = serializers.IntegerField()


class TimelineEntrySerializer(ApiSerializer):
    """One moment of a run's life."""

    event = serializers.CharField()
    at = serializers.DateTimeField()


class PreviousRunSerializer(ApiSerializer):
    """An earlier run of the same model's versions on the same dataset."""

    id = serializers.UUIDField()
    model_id = serializers.UUIDField()
    model_version = serializers.CharField(source="model.version")
    run_type = serializers.CharField()
    status = serializers.CharField()
    metrics = StrictJSONObject()
    created_at = serializers.DateTimeField()


class RunDetailSerializer(RunSerializer):
    """A run with everything about it; needs the request in its context."""

    progress = serializers.SerializerMethodField()
    rubric = StrictJSONObject()
    reviews = serializers.SerializerMethodField()
    report = StrictJSONObject()
    timeline = serializers.SerializerMethodField()
    previous = serializers.SerializerMethodField()
    samples = serializers.SerializerMethodField()

    @extend_schema_field(serializers.FloatField())
    def get_progress(self, run: EvaluationRun) -> float:
        """Percent of the machine's part."""
        return float(selectors.run_progress(run)["percent"])

    @extend_schema_field(ReviewProgressSerializer())
    def get_reviews(self, run: EvaluationRun) -> dict[str, int]:
        """Zeros where nobody reviews."""
        return selectors.review_progress(run)

    @extend_schema_field(TimelineEntrySerializer(many=True))
    def get_timeline(self, run: EvaluationRun) -> Any:
        """Oldest first."""
        moments = [("created", run.created_at), ("started", run.started_at), (run.status, run.finished_at)]
        rows = [{"event": event, "at": at} for event, at in moments if at is not None]
        return TimelineEntrySerializer(rows, many=True).data

    @extend_schema_field(PreviousRunSerializer(many=True))
    def get_previous(self, run: EvaluationRun) -> Any:
        """The newest five."""
        found = selectors.runs_previous(actor=self.context["request"].user, run=run)[:5]
        return PreviousRunSerializer(found, many=True).data

    @extend_schema_field(SampleSerializer(many=True))
    def get_samples(self, run: EvaluationRun) -> Any:
        """The first page; the rest at ``…/samples``."""
        return SampleSerializer(selectors.samples_of(run)[:50], many=True).data


class StartedRunsSerializer(RunDetailSerializer):
    """What a POST answers: the (first) run, and all that were started with it."""

    runs = serializers.SerializerMethodField()

    @extend_schema_field(RunSerializer(many=True))
    def get_runs(self, run: EvaluationRun) -> Any:
        """One per model, in the order sent."""
        return RunSerializer(self.context["runs"], many=True).data


class RunStartSerializer(ApiSerializer):
    """A request for one run (``modelId``) or one per model (``modelIds``)."""

    model_id = serializers.UUIDField(required=False, allow_null=True)
    model_ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, allow_null=True, allow_empty=False, max_length=MAX_BATCH
    )
    dataset_id = serializers.UUIDField()
    run_type = serializers.ChoiceField(choices=RunType.choices, default=RunType.AUTOMATED.value)
    metrics = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, allow_null=True, max_length=40
    )
    sample_size = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=_BIGGEST)
    seed = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**32 - 1)
    max_new_tokens = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=_BIGGEST)
    prompt_template_id = serializers.UUIDField(required=False, allow_null=True)
    endpoint_id = serializers.UUIDField(required=False, allow_null=True)
    source_run_id = serializers.UUIDField(required=False, allow_null=True)
    reviewer_ids = serializers.ListField(
        child=serializers.CharField(max_length=150), required=False, allow_null=True, max_length=100
    )
    rubric = StrictJSONObject(required=False, allow_null=True)
    judge = StrictJSONObject(required=False, allow_null=True)


class ReviewSerializer(ApiSerializer):
    """One review."""

    sample_id = serializers.UUIDField()
    scores = StrictJSONObject()
    comment = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=TEXT_LIMIT)


class HumanReviewSerializer(ApiSerializer):
    """One review, or several under ``reviews``."""

    sample_id = serializers.UUIDField(required=False)
    scores = StrictJSONObject(required=False)
    comment = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=TEXT_LIMIT)
    reviews = serializers.ListField(child=ReviewSerializer(), required=False, allow_empty=False, max_length=1_000)


class JudgeCriterionSerializer(ApiSerializer):
    """One question to the judge."""

    name = serializers.CharField(max_length=60)
    description = serializers.CharField(required=False, allow_blank=True, max_length=TEXT_LIMIT)
    scale = serializers.JSONField(required=False)


class JudgeSerializer(ApiSerializer):
    """A request for judgement by models."""

    model_ids = serializers.ListField(child=serializers.UUIDField(), allow_empty=False, max_length=10)
    criteria = serializers.ListField(child=JudgeCriterionSerializer(), allow_empty=False, max_length=20)
    prompt = serializers.CharField(required=False, allow_blank=True, max_length=20_000)


class WaitingSampleSerializer(ApiSerializer):
    """A sample in a reviewer's queue; the model is not named."""

    id = serializers.UUIDField()
    run_id = serializers.UUIDField()
    dataset_name = serializers.CharField(source="run.dataset.name")
    input = serializers.CharField()
    reference = serializers.CharField(allow_blank=True)
    output = serializers.CharField(allow_null=True, allow_blank=True)
    rubric = StrictJSONObject(source="run.rubric")


class RunDifferenceSerializer(ApiSerializer):
    """One metric of a comparison: B minus A."""

    metric = serializers.CharField()
    run_a = serializers.FloatField()
    run_b = serializers.FloatField()
    difference = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    p_value = serializers.FloatField()
    samples = serializers.IntegerField()


class RecommendationSerializer(ApiSerializer):
    """What to do with B's model."""

    verdict = serializers.ChoiceField(choices=Verdict.choices)
    reasons = serializers.ListField(child=serializers.CharField())


class RunComparisonSerializer(ApiSerializer):
    """Two runs side by side."""

    runs = RunSerializer(many=True)
    metrics = StrictJSONObject()
    paired_samples = serializers.IntegerField()
    differences = RunDifferenceSerializer(many=True)
    recommendation = RecommendationSerializer()
