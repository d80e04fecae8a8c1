"""Types of the arguments that tools of several toolkits take from the model."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

FIRST_DAY = date(1980, 1, 1)  # there is no earlier Internet mail; Gmail takes a small number for something else
LAST_DAY = date(9990, 12, 31)  # Python has no days after the year 9999, where a span could end

Limit = Annotated[int, Field(ge=1, le=50, description="How many at most.")]
ListPage = Annotated[str | None, Field(description="`next_page` of an earlier result, to go on where it ended.")]
TextPage = Annotated[int, Field(ge=1, description="Which page of a long text.")]
Day = Annotated[date, Field(ge=FIRST_DAY, le=LAST_DAY, description="A day as YYYY-MM-DD.")]
