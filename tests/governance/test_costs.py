"""FR-011: the ledger counts once; the roll-up is idempotent, back-fills, never counts twice; answers are current."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.core import clock
from apps.core.errors import Conflict, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent
from apps.governance import selectors, services
from apps.governance.models import CostDaily, CostState, PriceEntry, UsageRecord
from apps.governance.services import UsageEntry
from tests.support.cast import Cast

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MODEL = UUID("11111111-1111-4111-8111-111111111111")
ENDPOINT = UUID("22222222-2222-4222-8222-222222222222")


def entry(cast: Cast, **fields: Any) -> UsageEntry:
    defaults: dict[str, Any] = {
        "kind": "tokens_out",
        "quantity": Decimal(1_000_000),
        "resource_type": "serving",
        "resource_id": ENDPOINT,
        "team_id": cast.support.pk,
        "model_id": MODEL,
        "occurred_at": NOON,
        "key": str(uuid4()),
    }
    return UsageEntry(**{**defaults, **fields})


def daily() -> list[tuple[Any, ...]]:
    columns = ("day", "kind", "resource_type", "resource_id", "team_id", "user_id", "model_id", "gpu_type")
    return sorted(CostDaily.objects.values_list(*columns, "quantity", "cost"), key=str)


def test_the_same_key_is_counted_once(cast: Cast) -> None:
    """FR-011: writing again after a crash changes nothing."""
    one, two = entry(cast, key="a"), entry(cast, key="b")
    assert services.usage_record_many([one, one, two]) == 2
    assert services.usage_record_many([one, two, entry(cast, key="c")]) == 1
    assert UsageRecord.objects.count() == 3
    assert services.usage_record_many([]) == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "beer"}, "kind"),
        ({"resource_type": "car"}, "resource_type"),
        ({"quantity": Decimal(-1)}, "quantity"),
        ({"quantity": Decimal("NaN")}, "quantity"),
        ({"quantity": Decimal(10) ** 30}, "quantity"),
        ({"quantity": 3.5}, "quantity"),
        ({"key": ""}, "key"),
        ({"key": "x" * 201}, "key"),
        ({"key": "a\x00"}, "key"),
        ({"occurred_at": datetime(2026, 1, 1)}, "occurred_at"),  # noqa: DTZ001
    ],
)
def test_nonsense_is_not_booked(cast: Cast, fields: dict[str, Any], field: str) -> None:
    """FR-011: the field is named and nothing of the batch is written."""
    with pytest.raises(ValidationFailed) as failed:
        services.usage_record_many([entry(cast), entry(cast, **fields)])
    assert failed.value.errors[0].field == field
    assert not UsageRecord.objects.exists()


def test_usage_of_an_unknown_team_is_not_booked(cast: Cast) -> None:
    """FR-011: references hold."""
    with pytest.raises(ValidationFailed, match="does not exist"):
        services.usage_record_many([entry(cast), entry(cast, team_id=uuid4())])
    assert not UsageRecord.objects.exists()


def test_the_first_price_book_makes_costs(cast: Cast) -> None:
    """FR-011: an installation shows costs from the first call on, before any roll-up."""
    services.usage_record_many(
        [
            entry(cast, kind="tokens_in", quantity=Decimal(2_000_000)),
            entry(cast),
            entry(
                cast,
                kind="cpu_seconds",
                quantity=Decimal(7200),
                resource_type="training",
                resource_id=uuid4(),
            ),
            entry(cast, kind="gpu_seconds", quantity=Decimal(1800), gpu_type="h200"),
        ]
    )
    with clock.frozen(NOON):
        summary = selectors.cost_for_model(MODEL)
    assert summary.total == Decimal("0.30") + Decimal("0.60") + Decimal("0.08") + Decimal("1.25")
    assert (summary.tokens_in, summary.tokens_out, summary.tokens) == (2_000_000, 1_000_000, 3_000_000)
    assert (summary.cpu_hours, summary.gpu_hours) == (Decimal(2), Decimal("0.5"))
    assert [line.kind for line in summary.lines] == ["tokens_in", "tokens_out", "cpu_seconds", "gpu_seconds"]
    assert selectors.cost_for_model(uuid4()).is_empty


def test_the_roll_up_changes_no_answer_and_a_second_run_changes_nothing(cast: Cast) -> None:
    """FR-011: closed days move to the daily table; every total stays what it was."""
    services.usage_record_many(
        entry(
            cast,
            occurred_at=NOON - timedelta(hours=7 * index),
            quantity=Decimal(index * 1000 + 1),
            key=f"k{index}",
        )
        for index in range(40)
    )
    with clock.frozen(NOON):
        before = selectors.cost_for_model(MODEL)
        first = services.costs_rollup()
        rows = daily()
        assert len(first.days) == 11
        assert CostState.objects.get().rolled_until == NOON.date()
        assert selectors.cost_for_model(MODEL) == before
        second = services.costs_rollup()
        assert second.changed == 0
        assert daily() == rows
        everything = services.costs_rollup(everything=True)
        assert len(everything.days) == 11
        assert daily() == rows
    assert sum(row[-2] for row in rows) + sum(
        UsageRecord.objects.filter(occurred_at__gte=NOON.replace(hour=0)).values_list("quantity", flat=True)
    ) == sum(UsageRecord.objects.values_list("quantity", flat=True))


def test_late_usage_is_filled_in_without_counting_twice(cast: Cast) -> None:
    """FR-011: back-fill."""
    services.usage_record_many([entry(cast, occurred_at=NOON - timedelta(days=3))])
    with clock.frozen(NOON):
        services.costs_rollup()
    services_late = entry(cast, occurred_at=NOON - timedelta(days=3), quantity=Decimal(500_000))
    with clock.frozen(NOON + timedelta(days=1)):
        services.usage_record_many([services_late])
        services.usage_record_many([services_late])
        run = services.costs_rollup()
        assert date(2026, 3, 7) in run.days
        assert services.costs_rollup().changed == 0
        summary = selectors.cost_for_model(MODEL)
    assert (summary.tokens_out, summary.total) == (1_500_000, Decimal("0.9"))


def test_the_running_day_is_answered_from_the_ledger(cast: Cast) -> None:
    """FR-011: no waiting for the night."""
    with clock.frozen(NOON):
        services.costs_rollup()
        services.usage_record_many([entry(cast)])
        assert selectors.cost_for_model(MODEL).tokens_out == 1_000_000
        services.usage_record_many([entry(cast)])
        assert selectors.cost_for_model(MODEL).tokens_out == 2_000_000
    assert not CostDaily.objects.exists()


def test_the_day_boundary_is_a_setting(cast: Cast, settings: Any) -> None:
    """FR-011: cost days end at the set midnight; moving it recomputes them."""
    late_evening = datetime(2026, 3, 8, 23, 30, tzinfo=UTC)
    services.usage_record_many([entry(cast, occurred_at=late_evening)])
    with clock.frozen(NOON):
        services.costs_rollup()
        assert [row.day for row in CostDaily.objects.all()] == [date(2026, 3, 8)]
        settings.TIME_ZONE = "Europe/Berlin"
        services.costs_rollup()
        assert [row.day for row in CostDaily.objects.all()] == [date(2026, 3, 9)]
        assert selectors.cost_for_model(MODEL).tokens_out == 1_000_000


def test_a_price_counts_from_its_moment_on_also_within_a_day(cast: Cast) -> None:
    """FR-011: the price book has a history; the past keeps its price, rolled up or not."""
    with clock.frozen(NOON):
        services.price_set(actor=cast.dana, kind="tokens_out", amount=Decimal(6), valid_from=NOON)
    services.usage_record_many(
        [entry(cast, occurred_at=NOON - timedelta(microseconds=1)), entry(cast, occurred_at=NOON)]
    )
    for moment in (NOON + timedelta(hours=1), NOON + timedelta(days=1)):
        with clock.frozen(moment):
            services.costs_rollup()
            assert selectors.cost_for_model(MODEL).total == Decimal("6.6")


def test_the_most_specific_price_counts(cast: Cast) -> None:
    """FR-011: model and GPU type before model before GPU type before the general price."""
    with clock.frozen(NOON):
        prices: list[dict[str, Any]] = [{"gpu_type": "h200", "amount": 4}, {"model_id": MODEL, "amount": 5}]
        prices.append({"model_id": MODEL, "gpu_type": "h200", "amount": 7})
        for price in prices:
            services.price_set(
                actor=cast.dana,
                **{"kind": "gpu_seconds", "valid_from": NOON, **price, "amount": Decimal(price["amount"])},
            )
        for model, gpu, expected in (
            (None, "a10", "2.5"),
            (None, "h200", "4"),
            (MODEL, "a10", "5"),
            (MODEL, "h200", "7"),
        ):
            resource = uuid4()
            services.usage_record_many(
                [
                    entry(
                        cast,
                        kind="gpu_seconds",
                        quantity=Decimal(3600),
                        model_id=model,
                        gpu_type=gpu,
                        resource_id=resource,
                    )
                ]
            )
            assert selectors.cost_for_resource("serving", resource).total == Decimal(expected)


def test_prices_are_set_by_operators_and_never_for_closed_days(cast: Cast) -> None:
    """FR-011, roles.md: permissions, bounds, history, audit."""
    for name in ("ada", "ben", "chen", "eve", "finn"):
        with pytest.raises(PermissionRefused):
            services.price_set(actor=getattr(cast, name), kind="tokens_in", amount=Decimal(1))
    bad: list[tuple[dict[str, Any], str]] = [
        ({"kind": "beer"}, "kind"),
        ({"amount": Decimal(-1)}, "amount"),
        ({"amount": Decimal("NaN")}, "amount"),
        ({"amount": "many"}, "amount"),
        ({"amount": Decimal(10_000_000)}, "amount"),
        ({"amount": Decimal("0.000000001")}, "amount"),
        ({"valid_from": clock.now() - timedelta(days=2)}, "valid_from"),
        ({"gpu_type": "h200"}, "gpu_type"),
    ]
    for fields, field in bad:
        with pytest.raises(ValidationFailed) as failed:
            services.price_set(actor=cast.dana, **{"kind": "tokens_in", "amount": Decimal(1), **fields})
        assert failed.value.errors[0].field == field
    moment = clock.now() + timedelta(hours=1)
    services.price_set(actor=cast.dana, kind="tokens_in", amount=Decimal(1), valid_from=moment)
    with pytest.raises(Conflict):
        services.price_set(actor=cast.dana, kind="tokens_in", amount=Decimal(2), valid_from=moment)
    assert PriceEntry.objects.filter(kind="tokens_in").count() == 2
    assert AuditEvent.objects.get(action="governance.price.set").metadata["amount"] == "1"


def test_people_see_the_costs_of_their_teams(cast: Cast) -> None:
    """roles.md: members see the team's; operator, auditor and admin all; nobody else's leak into totals."""
    services.usage_record_many(
        [entry(cast), entry(cast, team_id=cast.research.pk, resource_id=uuid4(), quantity=Decimal(5_000_000))]
    )
    with clock.frozen(NOON):
        seen = {name: selectors.cost_aggregate(actor=user).total_tokens for name, user in cast.everyone().items()}
        assert seen == {
            "ada": 1_000_000,
            "ben": 1_000_000,
            "chen": 0,
            "dana": 6_000_000,
            "eve": 5_000_000,
            "finn": 6_000_000,
        }
        assert selectors.cost_for_model(MODEL, actor=cast.ada).tokens == 1_000_000
        assert [group.label for group in selectors.cost_groups("team", actor=cast.finn)] == [
            "Research",
            "Support",
        ]
        assert [group.label for group in selectors.cost_groups("team", actor=cast.eve)] == ["Research"]
        profiles = selectors.cost_profiles(actor=cast.ada, time_window="30d")
        assert [(profile.resource_id, profile.token_count) for profile in profiles] == [(str(ENDPOINT), 1_000_000)]


def test_a_window_takes_whole_cost_days(cast: Cast) -> None:
    """FR-010a: since is included, until is not; rolled-up and running days alike."""
    services.usage_record_many(entry(cast, occurred_at=NOON - timedelta(days=index)) for index in range(5))
    with clock.frozen(NOON):
        for _ in range(2):
            window = selectors.cost_aggregate(actor=None, since=date(2026, 3, 7), until=date(2026, 3, 9))
            assert window.total_tokens == 2_000_000
            assert selectors.cost_aggregate(actor=None, since=date(2026, 3, 10)).total_tokens == 1_000_000
            assert selectors.cost_aggregate(actor=None, until=date(2026, 3, 7)).total_tokens == 1_000_000
            days = selectors.cost_groups("day", actor=None)
            assert [group.key for group in days] == [f"2026-03-{day:02}" for day in (6, 7, 8, 9, 10)]
            services.costs_rollup()


@given(
    usage=st.lists(
        st.tuples(
            st.sampled_from(["tokens_in", "tokens_out", "cpu_seconds", "requests"]),
            st.decimals(min_value=0, max_value=10**9, places=3),
            st.integers(min_value=0, max_value=8 * 24 * 60),
            st.integers(min_value=0, max_value=2),
            st.booleans(),
        ),
        max_size=30,
    ),
    first_run=st.integers(min_value=0, max_value=9),
)
@hypothesis_settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_sums_are_conserved_whenever_the_roll_up_runs(
    cast: Cast, usage: list[tuple[str, Decimal, int, int, bool]], first_run: int
) -> None:
    """FR-011: for any usage, arriving in time or late, quantities and costs are the ledger's; a re-run is silent."""
    CostDaily.objects.all().delete()
    CostState.objects.all().delete()
    UsageRecord.objects.all().delete()
    start = datetime(2026, 3, 1, tzinfo=UTC)
    resources = [UUID(int=index + 1) for index in range(3)]
    entries = [
        (
            late,
            entry(
                cast,
                kind=kind,
                quantity=amount,
                occurred_at=start + timedelta(minutes=minute),
                resource_id=resources[index],
            ),
        )
        for kind, amount, minute, index, late in usage
    ]
    with clock.frozen(start):
        services.usage_record_many(item for late, item in entries if not late)
    with clock.frozen(start + timedelta(days=first_run)):
        services.costs_rollup()
        services.usage_record_many(item for late, item in entries if late)
    with clock.frozen(start + timedelta(days=10)):
        services.costs_rollup()
        rows = daily()
        assert services.costs_rollup().changed == 0
        assert daily() == rows
        summary = selectors.cost_summary(actor=None)
    expected: dict[str, Decimal] = {}
    for kind, amount, *_ in usage:
        expected[kind] = expected.get(kind, Decimal(0)) + amount
    assert {line.kind: line.quantity for line in summary.lines} == expected
    rates = {entry.kind: entry.amount / entry.per_quantity for entry in PriceEntry.objects.all()}
    exact = sum((amount * rates[kind] for kind, amount in expected.items()), Decimal(0))
    assert abs(summary.total - exact) < Decimal("0.000000001")


def test_cost_answers_take_few_queries(cast: Cast, django_assert_num_queries: Callable[[int], Any]) -> None:
    """Performance: how far the roll-up is, and the sums; the length of the ledger does not matter."""
    services.usage_record_many(entry(cast, occurred_at=NOON - timedelta(hours=index)) for index in range(50))
    with clock.frozen(NOON):
        services.costs_rollup()
        with django_assert_num_queries(2):
            selectors.cost_for_model(MODEL)
