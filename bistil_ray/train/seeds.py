"""Seeds of random streams that know nothing of each other."""

from __future__ import annotations


def mix(*numbers: int) -> int:
    """Derive one 63-bit seed from several numbers, so that each (seed, step, ...) has its own stream."""
    value = 0x9E3779B97F4A7C15
    for number in numbers:
        value = ((value ^ (number & 0xFFFFFFFFFFFFFFFF)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 31
    return value & 0x7FFFFFFFFFFFFFFF
