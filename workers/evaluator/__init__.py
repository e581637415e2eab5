"""The evaluation program, free of Django; run it with `python -m workers.evaluator --spec FILE`."""
