"""Faults of an item's text, as vectorised Polars expressions.

Each function takes a string expression and returns a boolean, number or string expression; null stays null. In doubt a
title passes: a real product must not be lost to a regular expression. docs/validation.md explains each rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

# --- Mojibake: UTF-8 bytes read as Windows-1252 or Latin-1 ---------------------------------------------------


def _read_wrongly(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:  # five bytes mean nothing in Windows-1252; Latin-1 keeps them as control codes
        return chr(byte)


# What the second and later bytes of a UTF-8 character (0x80 to 0xBF) look like when each is read alone.
_TAIL = "".join(_read_wrongly(byte) for byte in range(0x80, 0xC0))
# Those that may be right after a word in sound text: quotes, dashes, an ellipsis, trademark signs, a hard space.
_CLOSING = "\u00a0«»‹›“”„‘’‚…–—•·™®©¹²³°"
_INNER = "".join(mark for mark in _TAIL if mark not in _CLOSING)
# An apostrophe and an s may continue behind any word, in capitals too.
_NOT_APOSTROPHES = "".join(mark for mark in _CLOSING if mark not in "’‘")

_DAMAGE = (
    "\ufffd",  # the replacement character
    "[\u0080-\u009f]",  # control codes no title holds: Windows-1252 read as Latin-1
    "ï¿½|ï»¿",  # a replacement character, or a byte order mark, read wrongly
    # Western letters, é as Ã©. Capitals end words in Portuguese, Finnish or Swedish (MAÇÃ…, LÃ®), so what may close a
    # word counts only where a small letter is before, or a letter continues behind.
    rf"\p{{Ll}}[ÃÄÅ][{_TAIL}]",
    rf"(?:^|[^\p{{L}}])Ã[{_TAIL}]",
    rf"[ÃÄÅ][{_INNER}]",
    rf"Ã(?:[{_NOT_APOSTROPHES}]\p{{L}}|[’‘][\p{{L}}--[sS]])",
    rf"[ÄÅ][{_NOT_APOSTROPHES}]\p{{Ll}}",
    r"\p{Ll}Ã(?:\s|$)",  # à, its hard space since turned into a plain one
    rf"â(?:€|[„‚ˆ‰–—˜™œš\u0080-\u009f][{_TAIL}])",  # quotes, dashes, signs: ’ as â€™, ™ as â„¢
    rf"á[¸¹º][{_TAIL}]|á»(?:[{_INNER}©®]|[{_CLOSING}]\p{{Ll}})",  # Vietnamese; © and ® are behind no quotation
    "ðŸ",  # emoji
    # One pair may be chance in these (Ø½, ×², NIÑO…), two in a row are another alphabet.
    rf"(?:[ÐÑ][{_TAIL}]){{2}}|(?:[ÎÏ][{_TAIL}]){{2}}|(?:×[{_TAIL}]){{2}}|(?:[ØÙ][{_TAIL}]){{2}}",
    rf"ã[\u0081‚ƒ][{_TAIL}]|(?:[ä-í][{_TAIL}]{{2}}){{2}}",  # Japanese, Chinese, Korean
)
_MOJIBAKE = "|".join(_DAMAGE)
# A Â before a sign or in a gap: the sign or space itself survived, no word is broken.
_STRAY_MARK = r"Â[\x{a0}-\x{bf}]|\p{Ll}Â(?:\s|$)|(?:^|\s)Â(?:\s|$)"


def is_mojibake(text: pl.Expr) -> pl.Expr:
    """Tell whether words or signs are broken by a wrong character encoding (``Ã©``, ``â€™``, ``\\ufffd``)."""
    return text.str.contains(_MOJIBAKE)


def has_stray_mark(text: pl.Expr) -> pl.Expr:
    """Tell whether a wrong encoding left a ``Â`` before a sign or space, every word being whole."""
    return text.str.contains(_STRAY_MARK)


# --- Markup ------------------------------------------------------------------------------------------------

_TAG = (
    r"(?is)<(?:script|style)\b.*?(?:</(?:script|style)\s*>|$)|<!--.*?(?:-->|$)|<!doctype[^<>]*>"
    r"|</?[a-z][^<>]*>|<[a-z][a-z0-9]*\s+[a-z-]+=[^<>]*$"
)
_ENTITY = r"(?i)&(?:[a-z]+|#\d+|#x[0-9a-f]+);"
_ATTRIBUTE = r"(?i)<[a-z][^<>]*\s(?:class|id|href|src|style|on[a-z]+)\s*="
_ACTIVE = r"(?i)<(?:script|style|iframe)\b"
_PAGE_SCRIPT = r"\bvar\s+\w+\s*=|\bfunction\s*\w*\s*\(|\bgetTime\(\)|\{\s*[a-z-]+\s*:[^{};]*;[^{}]*\}"


def is_markup(text: pl.Expr) -> pl.Expr:
    """Tell whether a title is a piece of a web page: mostly tags, nothing but tags, or a page's script or styles.

    A pair of plain tags (``<b>Oni</b>``) and entities (``&amp;``) pass.
    """
    tags = text.str.count_matches(_TAG)
    readable = text.str.replace_all(_TAG, "")
    mostly_tags = (text.str.len_chars() > 2 * readable.str.len_chars()) & ((tags >= 3) | text.str.contains(_ATTRIBUTE))
    nothing_else = (tags > 0) & ~readable.str.replace_all(_ENTITY, "").str.contains(r"[\p{L}\p{N}]")
    return mostly_tags | nothing_else | text.str.contains(_ACTIVE) | text.str.contains(_PAGE_SCRIPT)


# --- Placeholders and length -------------------------------------------------------------------------------

_ENDS = r"^[^\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}]+$"


def is_placeholder(text: pl.Expr, *, placeholders: Sequence[str]) -> pl.Expr:
    """Tell whether a text is one of those listed, or without any letter or digit.

    Args:
        text: The title.
        placeholders: Whole titles; case, punctuation at the ends and doubled spaces do not matter.
    """
    core = _strip_marks(text)
    known = pl.Series(placeholders, dtype=pl.String).to_frame("text").select(_strip_marks(pl.col("text"))).to_series()
    return core.is_in(known.implode()) | (core == "")


def has_note_start(text: pl.Expr, *, starts: Sequence[str]) -> pl.Expr:
    """Tell whether a text begins with one of some phrases (``thrown away-rusty``); whole words only."""
    if not starts:
        return pl.when(text.is_not_null()).then(pl.lit(value=False))
    return _strip_marks(text).str.contains(rf"(?i)^(?:{'|'.join(map(re.escape, starts))})(?:[^\p{{L}}\p{{N}}]|$)")


_TEXT_FIELD = (
    "brand|category|categories|description|keyword|attribute|genre|tag|author|artist|maker|publisher|subtitle|summary|"
    "overview|synopsis|plot|feature|detail|material|ingredient|cuisine|style|genus|about|abstract|content|text"
)
_PROSE = r"\p{L}+\P{L}+\p{L}+\P{L}+\p{L}+\P{L}+\p{L}+"


def has_words(column: pl.Expr, *, name: str, placeholders: Sequence[str]) -> pl.Expr:
    """Tell whether a further field of an item says what the item is; false where it is null.

    A field whose name says that it holds text (``category``, ``genres``) does so with any word; another, which may be
    a code, a unit or an address, does so with four words.

    Args:
        column: The field, text.
        name: Its name.
        placeholders: Texts that mark that nothing is there.
    """
    if re.search(_TEXT_FIELD, name.lower()):
        return (column.str.contains(r"\p{L}") & ~is_placeholder(column, placeholders=placeholders)).fill_null(
            value=False
        )
    return (column.str.contains(_PROSE) & ~column.str.contains("://", literal=True)).fill_null(value=False)


def _strip_marks(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().str.replace_all(_ENDS, "").str.replace_all(r"\s+", " ")


def measure_reading_length(text: pl.Expr) -> pl.Expr:
    """Count characters, space at the ends apart; a Chinese, Japanese or Korean one is half a word and counts twice."""
    stripped = text.str.strip_chars()
    wide = stripped.str.count_matches(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]")
    return stripped.str.len_chars() + wide


# --- Scripts -----------------------------------------------------------------------------------------------

NO_SCRIPT = "none"
_SCRIPTS = {
    "Latin": r"\p{Latin}",
    "Cyrillic": r"\p{Cyrillic}",
    "Greek": r"\p{Greek}",
    "Arabic": r"\p{Arabic}",
    "Hebrew": r"\p{Hebrew}",
    "Devanagari": r"\p{Devanagari}",
    "Thai": r"\p{Thai}",
    "Chinese or Japanese": r"[\p{Han}\p{Hiragana}\p{Katakana}]",
    "Korean": r"\p{Hangul}",
}


def detect_main_script(text: pl.Expr) -> pl.Expr:
    """Name the script most letters of a text belong to; ``none`` without letters, ``other`` for rarer scripts."""
    letters = text.str.count_matches(r"\p{L}")
    counts = [text.str.count_matches(pattern) for pattern in _SCRIPTS.values()]
    most = pl.max_horizontal(counts)
    named = pl.when(letters == 0).then(pl.lit(NO_SCRIPT)).when(most * 2 < letters).then(pl.lit("other"))
    for script, count in zip(_SCRIPTS, counts, strict=True):
        named = named.when(count == most).then(pl.lit(script))
    return pl.when(text.is_not_null()).then(named.otherwise(pl.lit("other")))
