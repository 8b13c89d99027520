"""The words of the sample catalogue: departments, brands, series, products and styles, all synthetic."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Product:
    """One kind of thing a department sells.

    Attributes:
        name: What it is called.
        price: Price in a series of the middle class, in euros.
        text: One sentence about it.
    """

    name: str
    price: float
    text: str


@dataclass(frozen=True)
class Department:
    """One category of the catalogue.

    Attributes:
        name: The category.
        peak: Month (1 to 12) in which it sells best.
        swing: How far the season moves it: 0 not at all, 1 to nothing in the opposite month.
        brands: Brands that sell here; they take turns in owning `series`.
        series: Product lines, most popular first.
        products: In the order in which people come to need them: the main product, then what goes with it.
    """

    name: str
    peak: int
    swing: float
    brands: tuple[str, ...]
    series: tuple[str, ...]
    products: tuple[Product, ...]


@dataclass(frozen=True)
class Style:
    """A taste that runs through every department.

    Attributes:
        name: The word in the keywords.
        price: Factor on the product's price.
        text: One sentence about it.
    """

    name: str
    price: float
    text: str


@dataclass(frozen=True)
class Words:
    """All words of the catalogue, as ``words.toml`` has them.

    Attributes:
        colours: Colours that end a title.
        styles: Tastes, shared by all departments.
        departments: Categories, each with as many series and products as the others.
    """

    colours: tuple[str, ...]
    styles: tuple[Style, ...]
    departments: tuple[Department, ...]


@cache
def read_words() -> Words:
    """Read ``words.toml``, once a process."""
    values = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    departments = (
        Department(
            **{
                **each,
                "brands": tuple(each["brands"]),
                "series": tuple(each["series"]),
                "products": tuple(Product(**product) for product in each["products"]),
            }
        )
        for each in values["departments"]
    )
    return Words(tuple(values["colours"]), tuple(Style(**each) for each in values["styles"]), tuple(departments))
