"""
Compares a converted model with its estimator.

    examiner.py          compares all rows, and writes the proof
    proof_rows.py        has the rows of a proof, by their kind
    comparison.py        compares the answers of two runtimes for some rows
    reference.py         asks the estimator, about several tables at once
    magnitudes.py        finds the largest numbers with which a model can compute
    generated_rows.py    makes rows that the model accepts
    moved_rows.py        transforms rows of which only numbers change
    threshold_rows.py    makes rows on the thresholds of trees
    border_rows.py       makes rows on the borders between labels
    decision.py          tells if two labels differ by rounding only
    decision_values.py   computes the values by which estimators choose labels
    reproof.py           proves a version on disk again
"""
