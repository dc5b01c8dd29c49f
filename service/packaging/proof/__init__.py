"""Compares a converted model with its estimator."""
