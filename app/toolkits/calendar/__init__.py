"""The person's Google Calendar: reading it, finding a time, and changing it."""

from app.toolkits.calendar.oauth_scopes import EDIT_EVENTS, FREE_BUSY, LIST_CALENDARS, READ_EVENTS
from app.toolkits.calendar.writing import CalendarToolkit

__all__ = ["EDIT_EVENTS", "FREE_BUSY", "LIST_CALENDARS", "READ_EVENTS", "CalendarToolkit"]
