"""Pieces of the phrases by which the offline demo model finds the Gmail tools."""

from app.toolkits.phrases import ADDRESS, ID

MAIL = r"(?:e-?mails?|mails?|messages?)"
MAIL_ID = rf"{MAIL} (?:with id |id )?(?P<message_id>{ID})"
MAIL_IDS = rf"{MAIL} (?:with ids? |ids? )?(?P<message_ids>{ID}(?:\s*,\s*{ID})*)"
CC = rf"(?:,? (?:and )?cc (?P<cc>{ADDRESS}))?"
LETTER = (
    rf"(?: an?)? {MAIL} to (?P<to>{ADDRESS}){CC}"
    r",? (?:with )?(?:the )?(?:subject:?|about) (?P<subject>[^:\n]+?)\s*:\s*(?P<body>.+)"
)
