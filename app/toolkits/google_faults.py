"""Errors of Google's, as reasons for the model and the person."""

from __future__ import annotations

from app.errors import ProviderError
from app.google.faults import cause_for_administrators
from app.toolkits.asides import with_aside


def describe(error: ProviderError) -> str:
    """Return a Google error as a reason for the model and the person: status and reason, never a response's text."""
    if error.status is None:
        return f"{error.provider} did not answer. Please try again later."
    answer = f"{error.provider} answered {error.status}" + (f" ({error.reason})" if error.reason else "")
    if error.status == 404:
        return with_aside(f"{answer}: I found nothing with this id in your account.", "Check the id.")
    if error.passes:
        return f"{answer}: it is busy. Please try again later."
    if cause := cause_for_administrators(error):
        return f"{answer} and did not do it: {cause}. Only the administrator of this server can fix it."
    return f"{answer} and did not do it."
