"""PAL: the towers that align frozen content vectors with preference."""
