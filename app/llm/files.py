"""Which files a model can be shown."""

from __future__ import annotations

from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel

# The metadata keys of a note about an attachment; the models of providers are not sent them.
ATTACHED = "attached"  # the attachment in words
REFERENCE = "reference"  # the reference by which tools take it

PDF, PLAIN_TEXT = "application/pdf", "text/plain"
_TEXTS = frozenset({PLAIN_TEXT, "text/csv", "text/markdown"})  # all of them are shown as plain text
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", PDF),
)
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def can_read(model: Model, media_type: str) -> bool:
    """Return whether a model reads files of this type; of several in a chain, all have to."""
    if isinstance(model, WrapperModel):
        return can_read(model.wrapped, media_type)
    if isinstance(model, FallbackModel):
        return all(can_read(each, media_type) for each in model.models)
    profile = model.profile
    if media_type in IMAGES:
        return profile.get("supports_image_input", True)
    if media_type != PDF and media_type not in _TEXTS:
        return False
    shown_as = PDF if media_type == PDF else PLAIN_TEXT
    types = profile.get("supported_document_media_types")
    return profile.get("supports_document_input", True) and (types is None or shown_as in types)


def shown_as(contents: bytes, media_type: str) -> str | None:
    """Return the type under which a model is shown a file, from its contents; None if it is not what its type says.

    A provider refuses the whole request if they differ.
    """
    if media_type in _TEXTS:
        try:
            contents.decode()
        except UnicodeDecodeError:
            return None
        return PLAIN_TEXT
    found = next((kind for start, kind in _STARTS if contents.startswith(start)), None)
    if contents[:4] == b"RIFF" and contents[8:12] == b"WEBP":
        found = "image/webp"
    return found if found in IMAGES or found == media_type else None
