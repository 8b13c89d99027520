"""Pages of a run: one HTML file each that opens without a network, on a telephone too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from learn.data.staging import write_whole
from learn.drawing import svg


def write_page(template: str, page: Path, **values: Any) -> Path:
    """Fill a template of this package and write it, whole or not at all.

    Raises:
        StorageError: The disk is full or closed.
    """
    environment = Environment(
        loader=PackageLoader("learn", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(values)
    write_whole(page, text)
    return page


def both_shapes(draw: Callable[..., Figure]) -> dict[str, str]:
    """Draw a picture for wide and for narrow screens; the page shows one of the two."""
    return {"wide": svg(draw()), "narrow": svg(draw(narrow=True))}
