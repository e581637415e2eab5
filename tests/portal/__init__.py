"""Tests of home, approval queue, search and health."""
