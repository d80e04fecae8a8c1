"""What an error would show to whoever logs it."""

from __future__ import annotations

import traceback


def everything_in(error: BaseException) -> str:
    """All that an error carries: its texts and fields, and those of the errors that it was raised from."""
    chain = [error]
    while following := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(following)
    shown = [repr((each, each.args, vars(each), getattr(each, "doc", None))) for each in chain]
    return "".join([*traceback.format_exception(error), *shown])
