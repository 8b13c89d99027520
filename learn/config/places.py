"""Places beside the workspace."""

from __future__ import annotations

from pydantic import Field

from learn.section import Section


class PlaceSettings(Section):
    """Where a run keeps what must outlive the machine of a step."""

    run_files: str = Field(default="", pattern=r"^$|^[a-z0-9]+://.+|^/.+")
    """Place, such as ``s3://bucket/run-files``, through which steps hand their files on. Empty: all steps reach the
    same ``workspace`` and ``reports``, as on one machine, or on a cluster with a volume, and nothing is copied."""

    data_remote: str = Field(default="", pattern=r"^$|^[a-z0-9]+://.+|^/.+")
    """DVC remote of the data where the working directory is in no DVC repository, as in a pod: ``--data-version`` is
    fetched from it. Empty: the repository's own remotes."""
