"""Walks one language model through its governed life, over the HTTP API, each step as the right person."""
