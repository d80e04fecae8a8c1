"""Pieces of the phrases by which the offline demo model finds the Gmail tools."""

PLEASE = r"(?:please )?"
ASK = rf"{PLEASE}(?:(?:show|list|get|check|give)(?: me)? )?(?:all |any )?(?:my |the )?"
MAIL = r"(?:e-?mails?|mails?|messages?)"
ADDRESS = r"[^\s,]+@[^\s,]+"
DAY = r"\d{4}-\d{2}-\d{2}"
END = r"(?: please)?[ .!?]*"
ID = r"(?=[\w-]*\d)[\w-]{6,64}"  # a digit tells an id from a word
MAIL_ID = rf"{MAIL} (?:with id |id )?(?P<message_id>{ID})"
MAIL_IDS = rf"{MAIL} (?:with ids? |ids? )?(?P<message_ids>{ID}(?:\s*,\s*{ID})*)"
TEXT_PAGE = r"(?:,? page (?P<page>\d{1,3}))?"
LETTER = (
    rf"(?: an?)? {MAIL} to (?P<to>{ADDRESS})(?:,? (?:and )?cc (?P<cc>{ADDRESS}))?"
    r",? (?:with )?(?:the )?(?:subject:?|about) (?P<subject>[^:\n]+?)\s*:\s*(?P<body>.+)"
)
