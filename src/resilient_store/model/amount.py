"""So many objects and so many bytes, and how a person reads such numbers."""

from __future__ import annotations

import attrs

_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")
_THOUSAND = 1000
_TEN = 10
_SECONDS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@attrs.frozen
class Amount:
    """So many objects, or copies of objects, and their bytes together.

    Attributes
    ----------
    count
        How many.
    size
        Bytes.
    """

    count: int = 0
    size: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.size + other.size)


def many(count: int, one: str, more: str) -> str:
    """Write a number with the word that goes with it.

    Examples
    --------
    >>> many(1, "copy", "copies"), many(2000, "copy", "copies")
    ('1 copy', '2,000 copies')
    """
    return f"{count:,} {one if count == 1 else more}"


def in_bytes(size: int) -> str:
    """Write a number of bytes in decimal units.

    Examples
    --------
    >>> in_bytes(0), in_bytes(999), in_bytes(4_500_000), in_bytes(61_000_000_000)
    ('0 B', '999 B', '4.5 MB', '61 GB')
    """
    scaled, unit = float(size), 0
    while round(scaled) >= _THOUSAND and unit < len(_BYTES) - 1:
        scaled, unit = scaled / _THOUSAND, unit + 1
    digits = 1 if unit and round(scaled, 1) < _TEN else 0
    return f"{scaled:,.{digits}f} {_BYTES[unit]}"


def in_time(seconds: float) -> str:
    """Write a duration in its two largest units.

    Examples
    --------
    >>> in_time(0.2), in_time(75), in_time(7_260), in_time(90_000)
    ('less than 1 s', '1 min 15 s', '2 h 1 min', '1 d 1 h')
    """
    left, words = round(seconds), []
    for name, length in _SECONDS:
        if left >= length:
            words.append(f"{left // length} {name}")
            left %= length
        elif words:
            break
    return " ".join(words[:2]) or "less than 1 s"


def in_columns(rows: list[list[str]], indent: str = "  ") -> str:
    """Write rows of cells one below the other; what begins with a digit is set to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        lines.append(f"{indent}{'  '.join(cells)}".rstrip())
    return "\n".join(lines)
