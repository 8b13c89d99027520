"""The flows: each step is a few lines that call one room."""
