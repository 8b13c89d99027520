"""LEARN: from a folder of items and interactions to a served, watched, reproducible text recommender.

The public names are in ``__init__.pyi`` next to this file. Each is imported when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
