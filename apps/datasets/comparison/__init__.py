"""Comparing the content of two datasets: rows, columns, distributions.

Rows are recognised by key where one identifies them, else by the rows themselves. Nothing here knows the database.
"""

from apps.datasets.comparison.drift import drift_between
from apps.datasets.comparison.engine import Differences, KeyUnusable, differences
from apps.datasets.comparison.paging import RowComparison, compare_rows, page_of
from apps.datasets.comparison.schema import schema_changes

__all__ = [
    "Differences",
    "KeyUnusable",
    "RowComparison",
    "compare_rows",
    "differences",
    "drift_between",
    "page_of",
    "schema_changes",
]
