"""Tests of the training app."""
