"""Packages a fitted estimator as a model version. Nothing that serves imports it."""

from service.packaging.save import save_model

__all__ = ["save_model"]
