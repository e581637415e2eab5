"""The training program. It knows nothing of Django; run it with `python -m workers.trainer --spec FILE`."""
