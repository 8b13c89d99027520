"""Storage: atomic writes, and the local and remote places that files are in.

The public names are in ``__init__.pyi`` next to this file. Each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
