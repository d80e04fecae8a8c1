"""The OAuth scopes of Google Calendar that the tools ask for; each tool asks for the least that its methods take.

https://developers.google.com/workspace/calendar/api/auth. Not ``calendar.events.owned``: it does not reach the
calendars that others have shared with the person.
"""

from app.toolkits.zones import READ_EVENTS as READ_EVENTS  # names the zone of the person, too

EDIT_EVENTS = "https://www.googleapis.com/auth/calendar.events"
LIST_CALENDARS = "https://www.googleapis.com/auth/calendar.calendarlist.readonly"
FREE_BUSY = "https://www.googleapis.com/auth/calendar.freebusy"
