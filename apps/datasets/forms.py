"""Forms of the dataset pages. They only collect; the services decide."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.accounts.models import User
from apps.core.models import Visibility
from apps.core.permissions import teams_where
from apps.datasets.datasheet import MAX_TEXT, SHEET_FIELDS, SHEET_KEY, sheet_of, with_sheet
from apps.datasets.models import Dataset
from apps.datasets.registry import metric_names
from apps.datasets.splitting import MAX_SEED, PARTS
from apps.datasets.types import DATASET_TYPE_LABELS, DatasetType

_VISIBILITY_HELP = "The organisation sees it once it is approved."
_JSON = forms.Textarea(attrs={"data-json": "", "rows": 6})


class DatasetForm(forms.Form):
    """What may change about a draft."""

    name = forms.CharField(max_length=200, help_text="The same for all its versions, such as support-questions.")
    change_log = forms.CharField(
        required=False, label="What changed", widget=forms.Textarea(attrs={"rows": 3}), max_length=20_000
    )
    visibility = forms.ChoiceField(choices=Visibility.choices, label="Visible to", help_text=_VISIBILITY_HELP)
    storage_uri = forms.CharField(
        required=False,
        label="Origin",
        max_length=2000,
        help_text="Where the data comes from. Recorded, never read.",
    )
    what = forms.CharField(
        required=False,
        label="What it is",
        max_length=MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What the rows are, and what for.",
    )
    source = forms.CharField(
        required=False, label="Source", max_length=MAX_TEXT, help_text="Where the data comes from; who collected it."
    )
    consent = forms.CharField(
        required=False,
        label="Consent or legal basis",
        max_length=MAX_TEXT,
        help_text="On what ground it is held: consent, contract, a licence, no personal data …",
    )
    licence = forms.CharField(
        required=False, label="Licence", max_length=MAX_TEXT, help_text="For example CC-BY-4.0, or internal."
    )
    retention = forms.CharField(
        required=False,
        label="Retention",
        max_length=MAX_TEXT,
        help_text="A date (2028-12-31), a period from the approval (24 months), or unlimited.",
    )
    contact = forms.CharField(
        required=False, label="Contact", max_length=MAX_TEXT, help_text="A person or team that answers questions."
    )
    metrics = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Only for a benchmark: what every evaluation on it reports. None: what each evaluation asks for.",
    )
    metadata = forms.JSONField(
        required=False, label="Further metadata", widget=_JSON, help_text="Any JSON object; kept as it is."
    )

    identity: tuple[str, ...] = ("name", "change_log", "visibility", "storage_uri", "metrics")
    sheet = tuple(field.name for field in SHEET_FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert_choice(self.fields["metrics"]).choices = [(name, name) for name in metric_names()]

    def clean_metadata(self) -> Any:
        """An empty field is an empty object."""
        value = self.cleaned_data["metadata"]
        return {} if value is None else value

    def service_fields(self) -> dict[str, Any]:
        """What the service takes: the fields of the sheet go into the metadata."""
        fields = dict(self.cleaned_data)
        sheet = {name: fields.pop(name) for name in self.sheet if name in fields}
        if sheet and isinstance(fields.get("metadata"), dict):
            fields["metadata"] = with_sheet(fields["metadata"], sheet)
        return fields


def sheet_initial(dataset: Dataset) -> dict[str, Any]:
    """The fields of the sheet and the rest of the metadata, for a form."""
    rest = dict(dataset.metadata)
    own = rest.get(SHEET_KEY)
    names = {key for field in SHEET_FIELDS for key in field.keys}
    # What somebody keeps in the sheet beside its fields stays in the JSON, so that nothing is lost by saving.
    further = {key: value for key, value in own.items() if key not in names} if isinstance(own, dict) else {}
    rest.pop(SHEET_KEY, None)
    if further:
        rest[SHEET_KEY] = further
    return {**sheet_of({SHEET_KEY: own or {}}).values, "metadata": rest}


class DatasetCreateForm(DatasetForm):
    """A new dataset."""

    version = forms.CharField(max_length=64, initial="1.0", help_text="Such as 1.0 or 2.1.0-rc.1.")
    type = forms.ChoiceField(
        choices=[(key.value, DATASET_TYPE_LABELS[key]) for key in DatasetType],
        help_text="Decides which columns the files must have.",
    )
    owner_team = forms.ChoiceField(label="Team")
    identity = ("name", "version", "type", "owner_team", "change_log", "visibility", "storage_uri", "metrics")

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        team_field = self.fields["owner_team"]
        assert_choice(team_field).choices = [
            (team.slug, team.name) for team in teams_where(actor, "dataset.create").order_by("name")
        ]


class SharingForm(forms.Form):
    """What may change about a dataset that is no draft any more."""

    identity = ("visibility",)
    sheet = ()

    visibility = forms.ChoiceField(choices=Visibility.choices, label="Visible to", help_text=_VISIBILITY_HELP)

    def service_fields(self) -> dict[str, Any]:
        """What the service takes."""
        return dict(self.cleaned_data)


class SplitForm(forms.Form):
    """How to divide a dataset; shares in percent."""

    train = forms.FloatField(label="Train, percent", initial=80, min_value=0, max_value=100)
    validation = forms.FloatField(label="Validation, percent", initial=10, min_value=0, max_value=100, required=False)
    test = forms.FloatField(label="Test, percent", initial=10, min_value=0, max_value=100, required=False)
    seed = forms.IntegerField(
        initial=0,
        min_value=0,
        max_value=MAX_SEED,
        help_text="The same seed gives the same parts, on any machine.",
    )
    stratify_by = forms.ChoiceField(
        required=False, label="Balance by", help_text="Each part gets the mixture of this column."
    )
    group_by = forms.ChoiceField(
        required=False,
        label="Keep together by",
        help_text="Rows of one value are in one part, so that nothing leaks from training into the test.",
    )
    version = forms.CharField(
        required=False, max_length=64, help_text="Of the parts; empty: this dataset's, or the next one that is free."
    )

    def __init__(self, *args: Any, columns: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in ("stratify_by", "group_by"):
            assert_choice(self.fields[field]).choices = [("", "–"), *((name, name) for name in columns)]

    def service_fields(self) -> dict[str, Any]:
        """What the service takes."""
        fields = dict(self.cleaned_data)
        # Percent as people write them add up exactly; as fractions they would not.
        shares = {part: fields.pop(part) or 0 for part in PARTS}
        return {**fields, "ratios": {part: round(share / 100, 10) for part, share in shares.items()}}


class DeletionForm(forms.Form):
    """Confirms a deletion."""

    confirm = forms.CharField(max_length=300, help_text="Its name and version, as they stand above.")
    reason = forms.CharField(
        required=False,
        max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Stays in the audit trail, with the digest and the list of files.",
    )


class RetentionForm(forms.Form):
    """Until when an approved dataset is kept."""

    until = forms.DateField(label="Keep until", widget=forms.DateInput(attrs={"type": "date"}))
    reason = forms.CharField(max_length=2_000, widget=forms.Textarea(attrs={"rows": 3}))


class CompareForm(forms.Form):
    """What to compare with, and by which columns rows are recognised."""

    other = forms.ChoiceField(label="Compare with")
    key = forms.CharField(
        required=False, label="Key columns", help_text="Comma-separated; found by itself when empty.", max_length=2000
    )

    def __init__(self, *args: Any, versions: list[Dataset], others: list[Dataset], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups: list[tuple[str, list[tuple[str, str]]]] = []
        if versions:
            groups.append(("Versions of this dataset", [(str(one.pk), _version_label(one)) for one in versions]))
        if others:
            groups.append(("Other datasets", [(str(one.pk), f"{one.name} {_version_label(one)}") for one in others]))
        assert_choice(self.fields["other"]).choices = groups


def _version_label(dataset: Dataset) -> str:
    return f"{dataset.version} ({dataset.get_status_display().lower()})"


def assert_choice(field: forms.Field) -> forms.ChoiceField:
    """The field as what it is declared to be."""
    if not isinstance(field, forms.ChoiceField):
        raise TypeError(f"{field!r} offers no choices.")
    return field
