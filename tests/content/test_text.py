from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn.content.prompt import clean_text, truncate_text

MARKUP_PIECES = [
    "<b>",
    "</b>",
    "<br/>",
    "<",
    ">",
    "<p_class='x'>",
    "&amp;",
    "&lt;",
    "&#60;",
    "&gt;",
    ";",
    "#",
    "&",
    "amp",
    "b",
    "<script>",
    "</script>",
    "<!--",
    "-->",
    "e",
    "38",
    "&#3",
    "&nbsp;",
]
MARKUP = st.lists(st.sampled_from([*MARKUP_PIECES, "<p class='x'>", "\u0301", " ", "\u200b", "\x00", "\u037e"])).map(
    "".join
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Drill &amp; bit &lt;5 mm", "Drill & bit <5 mm"),
        ("3 < 5 and 6 > 4", "3 < 5 and 6 > 4"),
        ("I <3 tea", "I <3 tea"),
        ("List<String> for a<b and c>d", "List<String> for a<b and c>d"),
        ("pen&notebook, AT&T", "pen&notebook, AT&T"),
        ("<p>One</p><p>Two<br/>three</p>", "One Two three"),
        ('<a href="x">Li</a>nk', "Link"),
        ("H<sub>2</sub>O", "H2O"),
        ("<style>p {color: red}</style>Red", "Red"),
        ("&lt;b&gt;bold&lt;/b&gt;", "bold"),
        ("&amp;amp;amp;lt;b&amp;gt;x", "x"),
        ("a\x00b\tc\r\n\x85d\u00a0e\u3000f", "ab c d e f"),
        ("cafe\u0301", "café"),
        ("zero\u200bwidth\ufeff soft\u00adhyphen", "zerowidth softhyphen"),
        ("\u202eevil\u202c", "evil"),
        ("👩\u200d🔬 set", "👩\u200d🔬 set"),
        ("می\u200cخواهم شیر", "می\u200cخواهم شیر"),
        ("lone \ud800surrogate", "lone surrogate"),
        ("&#0; &#x110000; &bogus;", "&bogus;"),
        ("   ", ""),
    ],
)
def test_clean_text(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@given(st.text(alphabet=st.characters(exclude_categories=())) | MARKUP)
def test_clean_text_is_stable_and_free_of_controls(raw: str) -> None:
    clean = clean_text(raw)
    assert clean_text(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert not any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in clean)
    assert clean == " ".join(clean.split(" "))
    clean.encode()


@pytest.mark.parametrize("piece", ["&amp;", "<b", "&#3&#56;;", "<script>", "<b x=", "word ", "<!--", "&lt;b&gt;"])
def test_a_long_text_costs_little(piece: str) -> None:
    began = time.process_time()
    clean_text(piece * (100_000 // len(piece)))
    assert time.process_time() - began < 2


@given(st.text(), st.integers(1, 50))
def test_truncation_keeps_a_beginning_within_the_limit(text: str, limit: int) -> None:
    cut = truncate_text(text, limit)
    assert len(cut) <= limit
    assert text.startswith(cut)


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("short", 10, "short"),
        ("a stainless steel bolt", 13, "a stainless"),
        ("a stainless steel bolt", 17, "a stainless steel"),
        ("不锈钢螺栓套装", 4, "不锈钢螺"),
        ("xxxxxx👩\u200d🔬", 8, "xxxxxx"),
    ],
)
def test_truncation_falls_between_words(text: str, limit: int, cut: str) -> None:
    assert truncate_text(text, limit) == cut
