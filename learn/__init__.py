"""LEARN: from a folder of items and interactions to a served, watched, reproducible text recommender."""

__version__ = "0.1.0"
