"""Evaluation runs, human review, comparison."""
