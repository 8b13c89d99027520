"""The registry: bundles, the store they are in, aliases, promotion and lineage.

The public names are in ``__init__.pyi`` next to this file. Each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
