"""Read the lines of a text file, unpacked and decoded within bounds; skip what exporters write before the header."""

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
"""Lines for each row: files with doubled line ends have a blank line after each row."""
_SPARE_LINES: Final = 1000
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_PREAMBLE: Final = re.compile(r'"?(https?://\S+|www\.\S+|sep=.)"?[,;\t]*', re.IGNORECASE)
"""Files of CryptoDataDownload begin with a link, files of Excel with `sep=;`."""


def read_lines(file: BinaryIO, bounds: Bounds) -> Iterator[str]:
    """Yield the lines of a text with any line ends; raises BarFileRejected if it is not text or beyond the bounds."""
    start = file.read(2)
    file.seek(0)
    content: BinaryIO = file
    if start == GZIP_MAGIC:
        content = io.BufferedReader(gzip.GzipFile(fileobj=file), 256 * 1024)
        start = content.peek(2)[:2]
    # Bytes that are not UTF-8 become lone surrogates, so that the error below can name the line.
    encoding, errors = ("utf-16", "strict") if start in _UTF_16_MARKS else ("utf-8-sig", "surrogateescape")
    text = io.TextIOWrapper(content, encoding=encoding, errors=errors, newline=None)
    most_lines = _SPARE_LINES + _LINES_A_ROW * bounds.rows
    number, read = 0, 0
    while line := _read_line(text, number + 1):
        number += 1
        read += len(line)
        if "\0" in line:
            raise BarFileRejected("Line {line} has a NUL byte: this is not a text file.", line=number)
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
    """Return the number and text of the table's first line, after blank lines, links and Excel's `sep=`.

    Raises BarFileRejected if there is none.
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
