"""Read messages of protobuf, encoded as in https://protobuf.dev/programming-guides/encoding/, without their schema."""

from __future__ import annotations

from collections.abc import Iterator


class CutOff(ValueError):
    """A message ends within a number."""


def read_fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and value of each field: an int for a varint, the bytes for anything else."""
    position = 0
    while position < len(message):
        key, position = read_varint(message, position)
        kind = key & 7
        if kind == 0:
            number, position = read_varint(message, position)
            yield key >> 3, number
            continue
        if kind == 2:
            length, position = read_varint(message, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"protobuf wire type {kind}")
        if length > len(message) - position:
            raise ValueError("protobuf field is cut off")
        yield key >> 3, message[position : position + length]
        position += length


def read_varint(message: bytes | memoryview, position: int) -> tuple[int, int]:
    """Return the number that begins at a position, and the position of its end.

    Raises CutOff if the message ends in it, ValueError if it is longer than 64 bits allow.
    """
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise CutOff("protobuf number is cut off")
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ValueError("protobuf number is too long")


def to_integers(value: int | memoryview) -> list[int]:
    """Return the signed integers of a field: one, or several that are packed."""
    numbers = [value] if isinstance(value, int) else []
    if isinstance(value, memoryview):
        position = 0
        while position < len(value):
            number, position = read_varint(value, position)
            numbers.append(number)
    return [number - (1 << 64) if number >= 1 << 63 else number for number in numbers]


def to_message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("protobuf field holds a number where a message was expected")
    return value


def to_text(value: int | memoryview) -> str:
    return bytes(to_message(value)[:1000]).decode(errors="replace")
