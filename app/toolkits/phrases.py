"""Pieces of the phrases by which the offline demo model finds tools; what is particular to one toolkit is with it."""

PLEASE = r"(?:please )?"
ASK = rf"{PLEASE}(?:(?:show|list|get|check|give)(?: me)? )?(?:all |any )?(?:my |the )?"
ADDRESS = r"[^\s,]+@[^\s,]+"
DAY = r"\d{4}-\d{2}-\d{2}"
END = r"(?: please)?[ .!?]*"
ID = r"(?=[\w-]*\d)[\w-]{6,64}"  # a digit tells an id from a word
TEXT_PAGE = r"(?:,? page (?P<page>\d{1,3}))?"
_SENT_FILE = r"file-[0-9a-f]{12}-\d{1,2}"  # in place of "this file" (app/llm/offline.py)
THIS_FILE = rf"(?P<file>{_SENT_FILE})"
THESE_FILES = rf"(?P<attachments>{_SENT_FILE}(?:,{_SENT_FILE})*)"
