"""Runtimes: each turns a Table into a Prediction. One module for each model format."""
