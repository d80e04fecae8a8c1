"""Pieces of the phrases by which the offline demo model finds the calendar tools."""

from app.toolkits.phrases import ADDRESS

EVENTS = r"(?:calendar|agenda|events?|appointments?|meetings?)"
TIME = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})? ?(?:[Zz]|[+-]\d{2}:\d{2}|[A-Z]\w+(?:/\w+)+)"
PEOPLE = rf"{ADDRESS}(?:, ?{ADDRESS})*"
EVENT_ID = r"(?:event|meeting|appointment) (?:with id |id )?(?P<event_id>(?=[\w-]*\d)[\w-]{6,80})"
