"""Cleaning of one piece of text: markup out, Unicode in one form, one space between words."""

from __future__ import annotations

import re
import unicodedata
from html.entities import html5

CLEANING_VERSION = 1
"""Part of every content key: raise it when :func:`clean_text` answers differently."""

_ROUNDS = 4

# Only entities with their semicolon: without it `pen&notebook` would turn into `pen¬ebook`.
_ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_NESTED_AMPERSAND = re.compile(r"&(?:(?:amp|AMP|#0{0,4}38|#[xX]0{0,4}26);)+")

# Names of real tags alone, and attributes only with their equals sign: `3 < 5`, `<3`, `List<String>` are text.
_INLINE = "a|abbr|b|bdi|bdo|big|cite|code|del|em|font|i|ins|kbd|mark|s|small|span|strike|strong|sub|sup|tt|u|var|wbr"
_BLOCK = (
    "address|article|aside|blockquote|body|br|button|caption|center|dd|details|div|dl|dt|figcaption|figure|footer|form"
    "|h[1-6]|head|header|hr|html|iframe|img|input|label|li|link|main|meta|nav|noscript|object|ol|option|p|pre|script"
    "|section|select|style|summary|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|ul|video"
)
_SILENT = re.compile(r"<(script|style)\b[^<>]*>[^<]*</\1\s*>|<!--[^<>]*-->|<!doctype\b[^<>]*>", re.IGNORECASE)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE})(?:\s[^<>]*=[^<>]*)?\s*/?>", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCK})(?:\s[^<>]*=[^<>]*)?\s*/?>", re.IGNORECASE)
_SPACES = re.compile(r" {2,}")
_SURROGATE = re.compile("[\ud800-\udfff]")

_JOINER = "\u200d"
# Zero-width joiner and non-joiner stay: emoji families and Persian spelling are made of them.
_INVISIBLE = (0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_WHITESPACE = (*range(0x09, 0x0E), *range(0x1C, 0x20), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B))
_LATE_WHITESPACE = (0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
_TRANSLATION: dict[int, str | None] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), None),
    **dict.fromkeys(_INVISIBLE, None),
    **dict.fromkeys((*_WHITESPACE, *_LATE_WHITESPACE), " "),
}


def clean_text(text: str) -> str:
    """Plain words of a text: no markup, entities, control characters or odd whitespace; Unicode NFC.

    Cleaning a clean text changes nothing. What merely looks like markup (``3 < 5``, ``<3``) stays.
    """
    if text.isascii() and text.isprintable() and "&" not in text and "<" not in text:
        return _SPACES.sub(" ", text).strip()
    for _ in range(_ROUNDS):
        cleaned = _cleaned_once(text)
        if cleaned == text:
            return cleaned
        text = cleaned
    # Markup wrapped in markup time and again is no catalogue text: without its brackets nothing is left to unwrap.
    return text if _cleaned_once(text) == text else _normalised(re.sub("[&<>]", " ", text))


def truncate_text(text: str, limit: int) -> str:
    """The first ``limit`` characters at most, cut between words, or between letters where a word has no end near.

    Neither a letter's accents nor a joined emoji are cut in two.
    """
    if len(text) <= limit:
        return text
    border = text.rfind(" ", limit // 2, limit + 1)
    if border > 0:
        return text[:border].rstrip()
    cut = limit
    while cut > limit // 2 and _joined(text[cut - 1], text[cut]):
        cut -= 1
    return text[:cut].rstrip()


def _cleaned_once(text: str) -> str:
    if "&" in text:
        text = _ENTITY.sub(_decoded, _NESTED_AMPERSAND.sub("&", text))
    if "<" in text:
        text = _SILENT.sub(" ", text)
        text = _BLOCK_TAG.sub(" ", _INLINE_TAG.sub("", text))
    return _normalised(text)


def _normalised(text: str) -> str:
    text = _SURROGATE.sub("", text.translate(_TRANSLATION))
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip(" ")


def _decoded(match: re.Match[str]) -> str:
    name = match[1]
    if not name.startswith("#"):
        return html5.get(name + ";", match[0])
    digits = name[1:]
    number = int("0" + digits, base=16) if digits[0] in "xX" else int(digits)
    return chr(number) if 0 < number <= 0x10FFFF else ""


def _joined(left: str, right: str) -> bool:
    return _JOINER in (left, right) or unicodedata.category(right) in {"Mn", "Mc", "Me"} or "🏻" <= right <= "🏿"
