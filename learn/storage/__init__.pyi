from .atomic import staged, working_folder, write_whole
from .places import Place, StoredFile, place_at
from .run_files import RunFile, RunFiles, paths_in, together

__all__ = [
    "Place",
    "RunFile",
    "RunFiles",
    "StoredFile",
    "paths_in",
    "place_at",
    "staged",
    "together",
    "working_folder",
    "write_whole",
]
