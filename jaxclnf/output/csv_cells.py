"""The cells of CSV files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile('[",\\r\\n]')


def path_cell(text: str) -> str:
    r"""Make a path, or a sentence that begins with one, safe for a table.

    Bytes that are not UTF-8 become ``\xNN``. What a spreadsheet would take for a formula (it begins with
    ``=``, ``+``, ``-``, ``@``, a tab or a line end) gets ``./`` in front, which is the same path.
    """
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return f"./{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def number_cell(value: float, decimals: int = 6) -> str:
    """Format a number so that readers that guess types take it for one with a fraction: 0.000000, NaN."""
    return "NaN" if math.isnan(value) else f"{value:.{decimals}f}"


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    r"""Rows as CSV (RFC 4180 but for ``\n`` at the end of lines).

    Python's writer, before 3.13, leaves a ``\r`` unquoted, which ends the row for every reader.
    """
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell
