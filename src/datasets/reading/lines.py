"""The lines of a text file: unpacked and decoded within bounds, without what exporters put before the header."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from src.datasets.reading.table import BarFileRejected, Bounds, Fault

GZIP_MAGIC: Final = b"\x1f\x8b"
MAX_LINE_LENGTH: Final = 4096
_LINES_A_ROW: Final = 2
"""Files whose line ends were doubled on their way have a blank line after each; more of them are no candles."""
_SPARE_LINES: Final = 1000
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_PREAMBLE: Final = re.compile(r'"?(https?://\S+|www\.\S+|sep=.)"?[,;\t]*', re.IGNORECASE)
"""CryptoDataDownload begins with a link to itself, Excel with `sep=;`."""


def read_lines(file: BinaryIO, bounds: Bounds) -> Iterator[str]:
    """Yield the lines of a text whose lines may end in any way; BarFileRejected for what is none."""
    start = file.read(2)
    file.seek(0)
    content: BinaryIO = file
    if start == GZIP_MAGIC:
        content = io.BufferedReader(gzip.GzipFile(fileobj=file), 256 * 1024)
        start = content.peek(2)[:2]
    # What is not UTF-8 becomes lone surrogates here, so that the line can be named below.
    encoding, errors = ("utf-16", "strict") if start in _UTF_16_MARKS else ("utf-8-sig", "surrogateescape")
    text = io.TextIOWrapper(content, encoding=encoding, errors=errors, newline=None)
    most_lines = _SPARE_LINES + _LINES_A_ROW * bounds.rows
    number, read = 0, 0
    while line := _read_line(text, number + 1):
        number += 1
        read += len(line)
        if "\0" in line:
            raise BarFileRejected("Line {line} has a NUL byte: this is no text file.", line=number)
        if len(line) > MAX_LINE_LENGTH:
            raise BarFileRejected(
                "Line {line} is too long. Maximum: {most} characters.", line=number, most=MAX_LINE_LENGTH
            )
        if read > bounds.bytes:
            raise BarFileRejected(
                "The file is too large when unpacked. Maximum: {most:,} bytes.", Fault.TOO_LARGE, most=bounds.bytes
            )
        if number > most_lines:
            raise BarFileRejected("The file has too many lines. Maximum: {most:,}.", Fault.TOO_LARGE, most=most_lines)
        if not line.isascii() and any("\ud800" <= char <= "\udfff" for char in line):
            raise BarFileRejected("Line {line} is not UTF-8 text.", line=number)
        yield line


def find_header(lines: Iterator[str]) -> tuple[int, str]:
    """Return the number and the text of the first line of the table: neither blank nor a link nor a remark for Excel.

    Raises
    ------
    BarFileRejected
        If there is none.
    """
    for number, line in enumerate(lines, 1):
        if line.strip() and not _PREAMBLE.fullmatch(line.strip()):
            return number, line
    raise BarFileRejected("The file is empty.")


def _read_line(text: io.TextIOWrapper, number: int) -> str:
    try:
        return text.readline(MAX_LINE_LENGTH + 1)
    except UnicodeDecodeError as error:
        raise BarFileRejected(
            "Line {line} is not UTF-16 text, as the first bytes of the file say.", line=number
        ) from error
