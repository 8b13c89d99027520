"""Bodies made from the service's own OpenAPI page: right ones, nearly right ones and wrong ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

KNOWN = [f"item {row}/é" for row in (0, 7, 8, 150, 299)]
_COLUMNS = ["brand", "category", "price", "in_stock", "title", "new column", "recent_interactions", "a.b"]
_LENGTH = 6

wrong = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(KNOWN),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@dataclass(frozen=True)
class Page:
    """An OpenAPI page, read for its routes' bodies."""

    described: dict[str, Any]

    @property
    def routes(self) -> list[str]:
        return sorted(
            path
            for path, operations in self.described["paths"].items()
            if "requestBody" in operations.get("post", {}) and "application/json" in self._content(path)
        )

    def bodies(self, route: str) -> st.SearchStrategy[Any]:
        return self._values(self._content(route)["application/json"]["schema"]) | wrong

    def _content(self, route: str) -> dict[str, Any]:
        content: dict[str, Any] = self.described["paths"][route]["post"]["requestBody"]["content"]
        return content

    def _values(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        """Values of a schema, now and then with something wrong inside."""
        return st.integers(0, 19).flatmap(lambda drawn: wrong if drawn == 0 else self._right(schema))

    def _right(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "$ref" in schema:
            return self._right(self.described["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return st.one_of([self._right(each) for each in schema[choice]])
        if "enum" in schema or "const" in schema:
            return st.sampled_from(schema.get("enum", [schema.get("const")]))
        made: st.SearchStrategy[Any] = getattr(self, f"_{schema.get('type', 'anything')}")(schema)
        return made

    def _object(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "properties" not in schema:
            inner = self._values(schema.get("additionalProperties") or {})
            return st.dictionaries(st.sampled_from(_COLUMNS) | st.text(max_size=5), inner, max_size=3)
        fields = {name: self._values(field) for name, field in schema["properties"].items()}
        required = {name: fields[name] for name in schema.get("required", [])}
        optional = {name: field for name, field in fields.items() if name not in required}
        return st.fixed_dictionaries(required, optional=optional)

    def _array(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.lists(self._values(schema["items"]), min_size=schema.get("minItems", 0), max_size=_LENGTH)

    def _string(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if schema.get("format") == "uuid":
            return st.uuids().map(str)
        return st.sampled_from(KNOWN) | st.text(max_size=12)

    def _integer(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.integers(schema.get("minimum", -5) - 1, 1_100)

    def _number(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.floats(schema.get("minimum"), schema.get("maximum")) | st.integers(-3, 90)

    def _boolean(self, _: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.booleans()

    def _null(self, _: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.none()

    def _anything(self, _: dict[str, Any]) -> st.SearchStrategy[Any]:
        return wrong
