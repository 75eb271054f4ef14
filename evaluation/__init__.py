"""Evaluates rankings on files of clicks, in process: a library without console or services.

    from pathlib import Path

    from evaluation.datasets import load_sessions, split_last
    from evaluation.rankings import Settings, evaluate_ranking

    train, test = split_last(load_sessions(Path("clicks.csv.gz")), 0.1)
    settings = Settings(learn=False, min_prefix=1, k=20, seed=0)
    figures, cases = evaluate_ranking("ranker", train, test, settings)

What cannot be done raises an `evaluation.errors.EvaluationError`.
"""

from nextclick.extras import missing

if lacking := missing("evaluation"):
    raise ImportError(lacking)
