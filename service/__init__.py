"""A model server for fitted scikit-learn models: Falcon on Gunicorn, behind Nginx."""

__version__ = "0.1.0"
