"""
Finds the inputs and outputs of an estimator.

    inspect.py           reads inputs and outputs from the estimator, or tries them
    prober.py            tries which values it accepts
    widening.py          whole numbers that a gap would change
    asked.py             remembers the answers about the sample
    outputs.py           finds its outputs from its answers
    categories.py        reads the values that its encoders know
    final_estimator.py   unwraps searches and thresholds
    importances.py       coefficients and importances, for the page
"""
