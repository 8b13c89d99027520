"""Text checks: what is broken is found, in any encoding accident; what is sound passes, in any language."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn.config.data import ValidationSettings
from learn.data.validation import text as text_checks

_WORDS = {
    "French": "café élan naïve forêt garçon œuvre Noël où à été Île crème brûlée aîné août maïs reçu",
    "Portuguese": "maçã pão não ações lã romã avelã você é à água coração irmã órgão três avô",
    "Vietnamese": "điện thoại đẹp ấm trà gốm sứ Bát Tràng mã hàng lâu bền phở Việt Nam áo dài nữ mới",
    "German": "Größe Straße schön Übung Äpfel Öl Spaß für Mädchen weiß Ärger Nüsse Käse",
    "Spanish": "niño está qué mañana corazón último pingüino así año jamón",
    "Nordic": "blå smörgås Åre på tö yö hyvä pöytä Øresund ærlig sæt grøn hylle små",
    "Polish": "łódź źródło część żółw ściana gęś pięć mąż świeca",
    "Turkish": "ışık şeker çiçek güneş öğle ağaç",
    "English": "Pokémon 5mm Ø ½ inch 100 °C ± 0.1 × 20 — 3 pcs – pack’s “best” Teensy® USB™ 10 µF",
    "Russian": "чайник красный набор для кухни",
    "Greek": "κόκκινο φλιτζάνι καφέ",
    "Japanese": "任天堂 スイッチ ゲーム 本体",
    "Hebrew": "ספר ילדים חדש",
    "Arabic": "كتاب جديد للأطفال",
}
# What is right after a word in sound text.
_AFTER = ["", ".", ",", "!", "…", "”", "’s", "™", "®", "»", "\u00a0", " –", "?", ")"]


def _of(check: Callable[[pl.Expr], pl.Expr], *texts: str | None) -> list[object]:
    return (
        pl.DataFrame({"text": list(texts)}, schema={"text": pl.String})
        .select(check(pl.col("text")))
        .to_series()
        .to_list()
    )


def _placeholder(text: pl.Expr) -> pl.Expr:
    return text_checks.is_placeholder(text, placeholders=ValidationSettings().placeholders)


def _is_note(text: pl.Expr) -> pl.Expr:
    settings = ValidationSettings()
    is_listed = text_checks.is_placeholder(text, placeholders=settings.staff_notes)
    return is_listed | text_checks.has_note_start(text, starts=settings.placeholder_starts)


def _read_wrongly(text: str, encoding: str) -> str:
    if encoding == "latin-1":
        return text.encode().decode("latin-1")
    return "".join(bytes([b]).decode("cp1252", errors="ignore") or chr(b) for b in text.encode())


@st.composite
def _sentences(draw: st.DrawFn) -> str:
    words = st.sampled_from(_WORDS[draw(st.sampled_from(sorted(_WORDS)))].split())
    cases: list[Callable[[str], str]] = [str, str.upper, str.title]
    case = draw(st.sampled_from(cases))
    parts = draw(st.lists(st.tuples(words, st.sampled_from(_AFTER)), min_size=1, max_size=6))
    return " ".join(case(word) + after for word, after in parts)


@given(_sentences())
def test_sound_text_of_any_language_is_not_mojibake(text: str) -> None:
    assert _of(text_checks.is_mojibake, text) == [False]
    assert _of(text_checks.has_stray_mark, text) == [False]


def test_no_single_word_with_a_sign_behind_is_mojibake() -> None:
    words = [word for line in _WORDS.values() for word in line.split()]
    texts = [case(word) + after for word in words for case in (str, str.upper, str.title) for after in _AFTER]
    found = zip(texts, _of(text_checks.is_mojibake, *texts), strict=True)
    assert [text for text, broken in found if broken] == []


# English is left out: what its signs leave behind (Â°, Â±) breaks no word and is only warned of.
@given(st.sampled_from(sorted(set(_WORDS) - {"English"})), st.data(), st.sampled_from(["cp1252", "latin-1"]))
def test_text_read_in_the_wrong_encoding_is_mojibake(language: str, data: st.DataObject, encoding: str) -> None:
    broken = [word for word in _WORDS[language].split() if not word.isascii()]
    text = " ".join(data.draw(st.lists(st.sampled_from(broken), min_size=2, max_size=5)))
    assert _of(text_checks.is_mojibake, _read_wrongly(text, encoding)) == [True]


@pytest.mark.parametrize(
    "text",
    ["CafÃ© set", "Assassinâ€™s Creed", "5â€\x9d nail", "NokiaÃ¢â‚¬â„¢s", "Caf\ufffd", "It\x92s", "KÃ–LN Dom", "CAFÃ‰",
     "ï»¿Lamp", "Party ðŸ˜€", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "ã‚¹ã‚¤ãƒƒãƒ", "voilÃ  la mode", "Ã˜ 1.75mm", "Acmeâ„¢", "Äiâ€™",
     "sá»© sá»©"],
)  # fmt: skip
def test_known_damage_is_found(text: str) -> None:
    assert _of(text_checks.is_mojibake, text) == [True]


@pytest.mark.parametrize(
    "text",
    ["MAÇÃ… verde", "LÃ® 100 %", "LÃ – CINZA", "IRMÃ’S", "BLÅ™", "«está»", "Spaß“", "Ø½ pipe", "3×½", "MÃ HÀNG",
     "ÂM THANH", "Õkami", "HYVÄ…", "NIÑO™", "naïve", "Â ge d’or", "café…”", "« café »", "PÃES", "ÄÄNI",
     "São Paulo", "ÂNGELO"],
)  # fmt: skip
def test_sound_capitals_before_signs_pass(text: str) -> None:
    assert _of(text_checks.is_mojibake, text) == [False]


@pytest.mark.parametrize("text", ["Hausbell Â® disk", "RepRapÂ Brand", "pH Â± 0.1", "Â SMA Male"])
def test_a_stray_mark_breaks_no_word(text: str) -> None:
    assert _of(text_checks.has_stray_mark, text) == [True]
    assert _of(text_checks.is_mojibake, text) == [False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<span id="title" class="a-size-large">Lamp</span>', True),
        ("<div><p><b>Lamp</b></p></div>", True),
        ("<br><br/>", True),
        ("<p>&nbsp;</p>", True),
        ('<img src="x.png"', True),
        ("Lamp<script>alert(1)</script>", True),
        ("<!-- title -->", True),
        ("var aPageStart = (new Date()).getTime();", True),
        (".box { color: red; width: 1px }", True),
        ("<b>Oni</b>", False),
        ("Lamp <b>red</b>", False),
        ("Salt &amp; Pepper", False),
        ("I <3 Mario", False),
        (".hack//G.U. vol. 1", False),
        ("Cable < 5m > 2m", False),
        ("Set {red, blue}", False),
        ("Effective C++ {a; b}", False),
        ("p { margin:0; }", True),
    ],
)
def test_markup(text: str, *, expected: bool) -> None:
    assert _of(text_checks.is_markup, text) == [expected]


@pytest.mark.parametrize(
    "text", ["?", "???", "N/A", "***", " none. ", "Unknown", "(n/a)", "TBD", "null", "-", "No  title"]
)
def test_marks_that_there_is_no_title(text: str) -> None:
    assert _of(_placeholder, text) == [True]


@pytest.mark.parametrize(
    "text",
    ["It", "Up", "M", "9", "Z", "iQ", "oO", "b", "CO", "Pi", "Lost", "Error", "Found", "Test", "Missing", "One", "1942",
     "throw away the bread machine instructions", "Effective C++ {a; b}", "Nothing", "Nullarbor", "Nan Goldin",
     "The Unknown", "任天堂", "हिन्दी"],
)  # fmt: skip
def test_short_true_titles_mark_nothing(text: str) -> None:
    assert _of(_placeholder, text) == [False]
    assert _of(text_checks.is_markup, text) == [False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DAMAGED", True), (" damaged. ", True), ("mixed  up", True), ("Thrown away-rusty", True),
        ("thrown away", True), ("(missing)", True), ("Sold as set on dotcom", True), ("Lost", True),
        ("Missing: Since January", False), ("Mixed Up Mother Goose", False), ("Test Drive 5", False),
        ("Lost Planet", False), ("Unsaleables", False), ("Checkers", False), ("n/a", False),
    ],
)  # fmt: skip
def test_notes_of_staff(text: str, *, expected: bool) -> None:
    assert _of(_is_note, text) == [expected]


@given(
    st.sampled_from(ValidationSettings().placeholders),
    st.sampled_from([str, str.upper, str.title]),
    st.text("?!.-* \t", max_size=3),
    st.text("?!.-* \t", max_size=3),
)
def test_a_placeholder_in_any_dress_is_one(word: str, case: Callable[[str], str], before: str, after: str) -> None:
    assert _of(_placeholder, before + case(word) + after) == [True]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("category", "Home", True), ("genres", "RPG", True), ("brand", "IQ", True), ("Product Description", "x", True),
        ("brand", "n/a", False), ("genres", "-", False), ("brand", None, False), ("category", "42", False),
        ("currency", "EUR", False), ("unit", "per piece", False), ("sku", "A-17-BX", False),
        ("link", "https://shop.example/red-lamp-of-glass", False), ("further", "a lamp of red glass", True),
    ],
)  # fmt: skip
def test_fields_that_say_what_an_item_is(name: str, text: str | None, *, expected: bool) -> None:
    def check_words(column: pl.Expr) -> pl.Expr:
        return text_checks.has_words(column, name=name, placeholders=ValidationSettings().placeholders)

    assert _of(check_words, text) == [expected]


def test_length_counts_ideographs_twice() -> None:
    assert _of(text_checks.measure_reading_length, "  Oni ", "手机", "레고", "", None) == [3, 4, 4, 0, None]


def test_scripts() -> None:
    texts = ["Pokémon", "чайник USB", "スイッチ 本体", "1942 ?", "كتاب", "레고", "ქართული", None]
    expected = ["Latin", "Cyrillic", "Chinese or Japanese", "none", "Arabic", "Korean", "other", None]
    assert _of(text_checks.detect_main_script, *texts) == expected


@pytest.mark.parametrize(
    "check", [text_checks.is_mojibake, text_checks.has_stray_mark, text_checks.is_markup, _placeholder, _is_note]
)
def test_null_stays_null(check: Callable[[pl.Expr], pl.Expr]) -> None:
    assert _of(check, None, "Lamp") == [None, False]


@given(st.text())
def test_any_text_gets_an_answer(text: str) -> None:
    for check in (text_checks.is_mojibake, text_checks.has_stray_mark, text_checks.is_markup, _placeholder, _is_note):
        assert _of(check, text)[0] in (True, False)
