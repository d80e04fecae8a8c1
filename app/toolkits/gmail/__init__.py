"""The person's Gmail: what is found, what is read, what is put in order, and what acts, each a class upon the last."""

from app.toolkits.gmail.acting import GmailToolkit
from app.toolkits.gmail.oauth_scopes import COMPOSE_MAIL, EDIT_LABELS, MODIFY_MAIL, READ_MAIL, SEND_MAIL

__all__ = ["COMPOSE_MAIL", "EDIT_LABELS", "MODIFY_MAIL", "READ_MAIL", "SEND_MAIL", "GmailToolkit"]
