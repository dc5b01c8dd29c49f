"""
Finds out the inputs and outputs of an estimator.

    inspect.py           reads both from the estimator, or tries them
    prober.py            asks which values it takes
    outputs.py           asks what it gives
    categories.py        the values that its encoders know
    final_estimator.py   unwraps searches and thresholds
    importances.py       coefficients and importances, for the page
"""
