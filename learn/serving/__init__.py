"""The bundle, its registry and the served user tower."""
