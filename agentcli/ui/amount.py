"""How much of something there is, in a few letters: tokens, bytes. Wherever it is said, it is said the same way."""

from __future__ import annotations

__all__ = ["size", "tokens"]

_UNITS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def tokens(count: int, *, below: bool = False) -> str:
    """`850`, `1.2k`, `131k`, `1.05M`; where numbers stand `below` each other `131.1k`, `1.0M`"""
    for unit, letter in _UNITS:
        many = count / unit
        if below and many >= 0.99995:
            return f"{many:,.1f}{letter}"
        if not below and many >= 0.9995:
            return (f"{many:.3g}" if unit > 1_000 else f"{many:.0f}" if many >= 9.95 else f"{many:.1f}".removesuffix(".0")) + letter
    return str(count)


def size(count: int) -> str:
    """Bytes: `850 B`, `12.3 kB`, `4.0 MB`"""
    for unit, name in ((1_000_000, "MB"), (1_000, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"
