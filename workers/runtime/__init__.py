"""What trainer and evaluator share while they run."""
