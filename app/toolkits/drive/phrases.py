"""Pieces of the phrases by which the offline demo model finds the Drive tools."""

FILES = r"(?:files?|documents?|docs?)"
FILE_ID = rf"{FILES} (?:with id |id )?(?P<file_id>(?=[\w-]*\d)[\w-]{{6,128}})"
FILE_IDS = rf"{FILES} (?:with ids? |ids? )?(?P<file_ids>(?=[\w-]*\d)[\w-]{{6,128}}(?:\s*,\s*[\w-]{{6,128}})*)"
