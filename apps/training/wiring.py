"""What training registers with lower apps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db.models import Q

from apps.accounts.models import User
from apps.catalog import registry as catalog
from apps.catalog.lineage import DATASET, JOB, MODEL
from apps.catalog.models import ModelEntry
from apps.catalog.types import Blocker, LineageNode, LineageRelation, ModelStatus, Panel
from apps.compute import handlers
from apps.core.permissions import can
from apps.datasets import registry as datasets
from apps.datasets.models import Dataset
from apps.governance.labels import resource_labels
from apps.training.models import TrainingJob
from apps.training.selectors import OWNER_TYPE, jobs_by_ids, jobs_visible_to, models_visible_jobs
from apps.training.services.lifecycle import workload_changed

LINKS_LIMIT = 1_200


def resolve_jobs(actor: User | None, ids: Collection[UUID]) -> dict[UUID, LineageNode]:
    """Return lineage nodes of the jobs among `ids` that `actor` may see."""
    return {
        job.pk: LineageNode(JOB, str(job.pk), job.name, job.get_absolute_url(), job.status)
        for job in jobs_by_ids(actor=actor, ids=ids).values()
    }


def lineage_links(keys: Collection[tuple[str, UUID]], upwards: bool) -> list[catalog.LineageLink]:
    """Return what jobs were made from: their dataset and base model, as their rows say."""
    jobs = TrainingJob.objects.order_by("created_at").values_list("pk", "dataset_id", "model_id")
    ids = {kind: [pk for found, pk in keys if found == kind] for kind in (JOB, DATASET, MODEL)}
    if upwards:
        if not ids[JOB]:
            return []
        jobs = jobs.filter(pk__in=ids[JOB])
    elif ids[DATASET] or ids[MODEL]:
        jobs = jobs.filter(Q(dataset__in=ids[DATASET]) | Q(model__in=ids[MODEL]))
    else:
        return []
    wanted = set(keys)
    links: list[catalog.LineageLink] = []
    for pk, dataset_id, model_id in jobs[:LINKS_LIMIT]:
        job = (JOB, pk)
        made_from = [(kind, found) for kind, found in ((DATASET, dataset_id), (MODEL, model_id)) if found is not None]
        links += [(source, job, LineageRelation.USED_BY) for source in made_from if upwards or source in wanted]
    return links


def dataset_blockers(dataset: Dataset) -> Sequence[datasets.Blocker]:
    """Name the jobs whose experiment records need a dataset."""
    jobs = TrainingJob.objects.filter(dataset=dataset)[:20]
    return [datasets.Blocker("training_job", str(job.pk), job.name) for job in jobs]


def model_blockers(model: ModelEntry) -> Sequence[Blocker]:
    """Name the jobs that start from a model."""
    jobs = TrainingJob.objects.filter(model=model)[:20]
    return [Blocker("training_job", str(job.pk), job.name) for job in jobs]


def model_panel(actor: User, model: ModelEntry) -> Panel | None:
    """Return the jobs around a model, for its page."""
    jobs = list(models_visible_jobs(actor, model.pk)[:5])
    may_train = model.status == ModelStatus.APPROVED and not model.is_external and can(actor, "training_job.submit")
    if not jobs and not may_train:
        return None
    return Panel("Training", "training/_model_panel.html", {"jobs": jobs, "may_train": may_train}, order=40)


def register() -> None:
    """Called once by the application's `ready()`."""
    handlers.register(OWNER_TYPE, workload_changed)
    for kind in ("training", "training_job"):
        resource_labels.register_objects(kind, jobs_visible_to)
    catalog.register_lineage_kind(JOB, resolve_jobs)
    catalog.register_lineage_links(lineage_links)
    catalog.register_delete_blockers(model_blockers)
    catalog.register_model_panel(model_panel)
    datasets.register_delete_blockers(dataset_blockers)
