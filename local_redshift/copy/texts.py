"""Convert values for VARCHAR and CHAR columns, or reject them.

https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-conversion.html
"""

import re

from local_redshift import messages
from local_redshift.copy.columns import ValueRefused, surely_fits
from local_redshift.copy.field import Field, text_of
from local_redshift.copy.statement import CopyStatement

SURROGATES = re.compile("[\ud800-\udfff]+")
# U+FDD0 to U+FDEF and the last two of each plane; DG multi-byte-character-load-errors.html
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_REPLACED = re.compile(f"[\ud800-\udfff{_NONCHARACTERS}]")  # by ACCEPTINVCHARS


def to_varchar(field: Field) -> str | None:
    found = _valid_utf8(_without_nul(text_of(field)), field.copy.acceptinvchars)
    text = _blanks(found, field.copy)
    if text is None or surely_fits(text, field.column.length):
        return text
    return _fitted(text, field, messages.VARCHAR_TOO_LONG)


def to_char(field: Field) -> str | None:
    found = _without_nul(text_of(field))
    for char in found:
        if not char.isascii():
            shown = char.encode("utf-8", "surrogateescape" if _is_bad_byte(char) else "surrogatepass").hex(" ")
            raise ValueRefused(messages.BAD_UTF8, messages.MULTIBYTE_IN_CHAR.format(bytes=shown))
    text = _blanks(found, field.copy)
    return text if text is None else _fitted(text, field, messages.CHAR_TOO_LONG)


def _without_nul(text: str) -> str:
    if text.startswith("\0") and len(text) > 1:
        raise ValueRefused(messages.NULL_BYTE, messages.NULL_BYTE_FIRST)
    return text.split("\0", 1)[0]


def _blanks(text: str, copy: CopyStatement) -> str | None:
    if text == "":
        return None if copy.emptyasnull else text
    if copy.blanksasnull and not text.strip(" "):
        return None
    return text.rstrip(" ") if copy.trimblanks else text


def _fitted(text: str, field: Field, reason: str) -> str:
    length = field.column.length
    encoded = text.encode()
    if len(encoded) <= length:
        return text
    cut = encoded[:length].decode(errors="ignore")  # never cut within a character
    if field.copy.truncatecolumns or not encoded[length:].strip(b" "):
        return cut
    raise ValueRefused(messages.TOO_LONG, reason, shows_value=reason != messages.VARCHAR_TOO_LONG)  # seen


def _is_bad_byte(char: str) -> bool:
    return "\udc80" <= char <= "\udcff"  # a byte that is not UTF-8; other surrogates are from JSON escapes


def _bytes_of(char: str) -> int:
    """Return the number of bytes of a character in the file, or in UTF-8 if it was a JSON escape."""
    return 1 if _is_bad_byte(char) else len(char.encode("utf-8", "surrogatepass"))


def _valid_utf8(text: str, replacement: str | None) -> str:
    if text.isascii():
        return text
    if replacement is not None:
        return _REPLACED.sub(lambda match: replacement * _bytes_of(match[0]), text)
    bad = SURROGATES.search(text)
    if bad is None:
        return text
    at = bad.start()
    if _is_bad_byte(text[at]):
        # a sequence has at most four bytes; a surrogate that was escaped does not continue it
        there = "".join(c if _is_bad_byte(c) else "?" if SURROGATES.match(c) else c for c in text[at : at + 4])
        sequence, error = _bad_sequence(there.encode("utf-8", "surrogateescape"))
    else:
        sequence, error = text[at].encode("utf-8", "surrogatepass"), 5
    shown = messages.INVALID_UTF8.format(bytes=sequence.hex(" "), error=error)
    raise ValueRefused(messages.BAD_UTF8, shown)


def _bad_sequence(there: bytes) -> tuple[bytes, int]:
    """Return the invalid sequence at the start of `there`, and Redshift's error number for it.

    DG multi-byte-character-load-errors.html
    """
    first = there[0]
    if first < 0xC0 or first > 0xFD:
        return there[:1], 3
    if first >= 0xF8:
        return there[:1], 1
    length = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    for i, byte in enumerate(there[1:length], 1):
        if not 0x80 <= byte <= 0xBF:
            return there[: i + 1], 4
    if len(there) < length:
        return there, 2
    sequence = there[:length]
    if first == 0xED:
        return sequence, 5
    return sequence, 8 if first >= 0xF4 else 9
