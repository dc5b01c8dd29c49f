"""
Compares a converted model with its estimator.

    examiner.py          the proof
    generated_rows.py    rows that the model takes
    threshold_rows.py    rows on the thresholds of trees
    border_rows.py       rows on the borders between labels
    decision.py          labels that differ by no more than rounding
    decision_values.py   the values by which estimators choose labels
    reproof.py           proves a version on disk again
"""
