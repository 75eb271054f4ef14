"""What another policy would have earned, estimated from the log of the one that chose.

    from pathlib import Path

    from evaluation.off_policy.bandit_logs import load_log
    from evaluation.off_policy.judging import judge
    from evaluation.off_policy.policies import load_policy

    pages = load_log(Path("random_men.csv.gz"))
    for estimate in judge(pages, load_policy(Path("new.toml"))).estimates:
        print(estimate.name, estimate.value, estimate.interval, estimate.refused)

docs/off_policy.md says what each estimator assumes, and when to trust which.
"""
