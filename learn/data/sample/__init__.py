"""The sample: a synthetic shop, the same bytes from the same seed."""
