"""Tables that cut nothing: aligned for a person at a terminal, tab-separated for a program behind a pipe."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str | None]], *, wrapped: Collection[str] = ()) -> None:
    """Print rows under their column names.

    In a pipe each row is one line with a tab between its cells, and the first line has the names. At a terminal that is
    too narrow for a table, each row is printed as a block of lines, because an id that was cut cannot be used.

    Args:
        columns: The names of the columns.
        rows: A cell for each column; None is empty.
        wrapped: The columns that hold prose or a list. At a terminal they may take several lines.
    """
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            print("\t".join(_on_one_line(cell) for cell in row))
        return
    # Imported here: it takes a while, and a pipe does not need it.
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    console = Console()
    table = Table()
    for column in columns:
        table.add_column(column, no_wrap=column not in wrapped, overflow="fold")
    for row in rows:
        table.add_row(*(cell or "" for cell in row))
    if Measurement.get(console, console.options.update(max_width=100_000), table).minimum <= console.width:
        console.print(table, markup=False)
        return
    width = max(map(len, columns))
    for number, row in enumerate(rows):
        if number:
            print()
        for column, cell in zip(columns, row, strict=True):
            print(f"{column:{width}}  {_on_one_line(cell)}".rstrip())


def _on_one_line(cell: str | None) -> str:
    return " ".join((cell or "").split())
