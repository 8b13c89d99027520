"""Validation: each row is checked by Great Expectations and goes on, or to quarantine with its reasons."""
