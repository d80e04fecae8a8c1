"""Tables that never cut a cell: aligned at a terminal, tab-separated in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str | None]], *, wrapped: Collection[str] = ()) -> None:
    """Print rows under their column names.

    In a pipe, each row is one line with tabs between the cells, and the first line has the names. If the terminal is
    too narrow for a table, each row is printed as a block of lines, because a cut id would be useless.

    Args:
        columns: The names of the columns.
        rows: One cell for each column; None is empty.
        wrapped: The columns with prose or a list, which may take several lines at a terminal.
    """
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            print("\t".join(_on_one_line(cell) for cell in row))
        return
    # Imported here, because importing rich takes a while and a pipe does not need it.
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
