"""Tests of the compute app and the local backend."""
