"""Forms of evaluation. They offer what selectors show and leave every rule to the services."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.accounts.models import User
from apps.catalog.selectors import models_visible_to
from apps.catalog.types import ModelType, ScanStatus
from apps.datasets.selectors import datasets_kept, datasets_visible_to
from apps.datasets.types import PiiStatus
from apps.evaluation.rubric import DEFAULT_RUBRIC, Criterion, CriterionType, Rubric
from apps.evaluation.types import RunType
from workers.contracts import DEFAULT_METRICS, Metric
from workers.contracts.evaluation import EVALUABLE

METRIC_LABELS = {
    Metric.EXACT_MATCH: "Exact match",
    Metric.F1: "Token F1",
    Metric.BLEU: "BLEU (0 to 100)",
    Metric.ROUGE1: "ROUGE-1",
    Metric.ROUGE2: "ROUGE-2",
    Metric.ROUGEL: "ROUGE-L",
    Metric.PERPLEXITY: "Perplexity",
    Metric.ACCURACY: "Accuracy",
    Metric.ENTITY_F1: "Entity F1",
}
_TYPES = [(kind.value, kind.label) for kind in RunType if kind != RunType.LLM_JUDGE]


class RunForm(forms.Form):
    """Start an evaluation."""

    model: Any = forms.ModelChoiceField(
        queryset=None, label="Model", help_text="Drafts too, once their files were scanned safe."
    )
    dataset: Any = forms.ModelChoiceField(
        queryset=None, label="Dataset", help_text="With references, and clean of personal data."
    )
    run_type = forms.ChoiceField(choices=_TYPES, label="Type", initial=RunType.AUTOMATED)
    metrics = forms.MultipleChoiceField(
        choices=[(metric.value, label) for metric, label in METRIC_LABELS.items()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        initial=[metric.value for metric in DEFAULT_METRICS],
        help_text="For automated and combined runs.",
    )
    sample_size = forms.IntegerField(
        required=False, min_value=1, label="Samples", help_text="Chosen by the seed; empty: all (for reviews: 50)."
    )
    seed = forms.IntegerField(required=False, min_value=0, max_value=2**32 - 1, help_text="Empty: 42.")
    rubric = forms.JSONField(
        required=False,
        widget=forms.Textarea(attrs={"data-json": "", "rows": 12}),
        help_text="For human and combined runs: criteria and how many people judge each sample.",
    )

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = models_visible_to(actor).exclude(type=ModelType.EXTERNAL).filter(scan_status=ScanStatus.SAFE)
        datasets = datasets_kept(datasets_visible_to(actor)).filter(
            type__in=[kind.value for kind in EVALUABLE], pii_scan_status=PiiStatus.CLEAN
        )
        for name, queryset in (("model", models), ("dataset", datasets)):
            field = self.fields[name]
            if isinstance(field, forms.ModelChoiceField):
                field.queryset = queryset
                field.widget.attrs["data-picker"] = ""
        self.fields["rubric"].initial = DEFAULT_RUBRIC.to_json()


class ReviewForm(forms.Form):
    """One sample against a rubric; one field per criterion, named by its place."""

    comment = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, rubric: Rubric, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rubric = rubric
        comment = self.fields.pop("comment")
        for place, criterion in enumerate(rubric.criteria):
            self.fields[f"criterion_{place}"] = _field(criterion)
        self.fields["comment"] = comment

    def scores(self) -> dict[str, Any]:
        """What was answered, by criterion."""
        found: dict[str, Any] = {}
        for place, criterion in enumerate(self.rubric.criteria):
            value = self.cleaned_data[f"criterion_{place}"]
            if value != "":
                found[criterion.name] = int(value) if criterion.type == CriterionType.SCALE else value
        return found


def _field(criterion: Criterion) -> forms.Field:
    label = criterion.name.replace("_", " ").capitalize()
    if criterion.type == CriterionType.TEXT:
        return forms.CharField(
            required=False, label=label, help_text=criterion.guidance, widget=forms.Textarea(attrs={"rows": 2})
        )
    if criterion.type == CriterionType.SCALE:
        low, high = criterion.min or 0, criterion.max or 0
        choices = [(str(value), str(value)) for value in range(low, high + 1)]
    elif criterion.type == CriterionType.PASS_FAIL:
        choices = [("pass", "Pass"), ("fail", "Fail")]
    else:
        choices = [(option, option) for option in criterion.options]
    widget = forms.RadioSelect if len(choices) <= 11 else forms.Select
    return forms.ChoiceField(label=label, help_text=criterion.guidance, choices=choices, widget=widget)
