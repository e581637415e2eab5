"""The training program, free of Django; run it with `python -m workers.trainer --spec FILE`."""
