"""The wire format of protocol buffers, as far as logs need it.

Source: protobuf.dev/programming-guides/encoding. A message is a row of fields, each a number and a
value: a varint, eight bytes, four bytes, or bytes of a given length (a text, a message, numbers).
"""

from __future__ import annotations

from pathlib import Path

from reprostats.errors import InputError

Fields = dict[int, list[int | bytes]]
_LENGTHS = {1: 8, 5: 4}
_VARINT, _BYTES = 0, 2
_MOST_SHIFT = 63


def fields_of(message: bytes, file: Path) -> Fields:
    """Return the values of a message by the numbers of its fields.

    Raises
    ------
    InputError
        If it is not whole.

    Examples
    --------
    >>> fields_of(bytes([0x08, 0x96, 0x01, 0x12, 0x02, 0x68, 0x69]), Path("log"))
    {1: [150], 2: [b'hi']}
    """
    fields: Fields = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at, file)
        kind = key & 7
        if kind == _VARINT:
            value: int | bytes
            value, at = _varint(message, at, file)
        else:
            if kind == _BYTES:
                length, at = _varint(message, at, file)
            elif kind in _LENGTHS:
                length = _LENGTHS[kind]
            else:
                raise InputError(f"{file}: is damaged (unknown kind of field {kind}).")
            value = message[at : at + length]
            at += length
            if at > len(message):
                raise InputError(f"{file}: is damaged (a field is longer than its message).")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def texts_of(fields: Fields, number: int) -> list[bytes]:
    """Return the values of a field that are bytes."""
    return [value for value in fields.get(number, []) if isinstance(value, bytes)]


def _varint(message: bytes, at: int, file: Path) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift <= _MOST_SHIFT:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004
            return value, at
    raise InputError(f"{file}: is damaged (a number has no end).")
