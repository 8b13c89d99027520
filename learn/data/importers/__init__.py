"""Importers of public data sets: raw files in, the contract's two tables out; ``learn data import`` runs them."""
