"""The person's Gmail: listing, reading, organising, drafting and acting, each a subclass of the one before."""

from app.toolkits.gmail.acting import GmailToolkit
from app.toolkits.gmail.oauth_scopes import COMPOSE_MAIL, EDIT_LABELS, MODIFY_MAIL, READ_MAIL, SEND_MAIL

__all__ = ["COMPOSE_MAIL", "EDIT_LABELS", "MODIFY_MAIL", "READ_MAIL", "SEND_MAIL", "GmailToolkit"]
