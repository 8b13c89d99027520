from .atomic import atomic_files, open_working_folder, write_atomic
from .places import Place, StoredFile, open_place
from .run_files import RunFile, RunFiles, iterate_paths, merge_files

__all__ = [
    "Place",
    "RunFile",
    "RunFiles",
    "StoredFile",
    "atomic_files",
    "iterate_paths",
    "merge_files",
    "open_place",
    "open_working_folder",
    "write_atomic",
]
