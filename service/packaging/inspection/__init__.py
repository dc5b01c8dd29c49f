"""Finds out the inputs and outputs of an estimator."""
