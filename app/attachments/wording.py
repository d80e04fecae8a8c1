"""Texts about attachments, for people and for the model."""

from __future__ import annotations

from app.characters import seen
from app.llm.faults import ModelFault
from app.messages import Attachment, AttachmentKind
from app.sizes import in_units

NOT_SET_UP = "I have no transcription model here. Please write to me instead"

_KINDS = {
    AttachmentKind.IMAGE: "image",
    AttachmentKind.VOICE: "voice message",
    AttachmentKind.AUDIO: "audio file",
    AttachmentKind.VIDEO: "video",
    AttachmentKind.DOCUMENT: "document",
}
_FAULTS = {
    ModelFault.BUSY: "My transcription model is overloaded.",
    ModelFault.DOWN: "My transcription model has a fault.",
    ModelFault.NETWORK: "I cannot reach my transcription model.",
    ModelFault.ODD: "My transcription model gave an answer that I cannot read.",
    ModelFault.QUOTA: "my transcription model's quota is used up, which only your administrator can change",
}
_REFUSED = "my transcription model refuses me, which only your administrator can fix"
_NAME_CHARACTERS = 100  # of a file's name that are shown
_MARKS = str.maketrans('"[]\u27e6\u27e7`', "'()()'")


def described(attachment: Attachment) -> str:
    """Return an attachment in words, such as ``image "harbour.png" (image/png, 12 kB)``, with its name on one line."""
    name = " ".join(seen(attachment.name).translate(_MARKS).split())[:_NAME_CHARACTERS]
    details = [seen(attachment.mime_type.partition(";")[0]).translate(_MARKS)[:_NAME_CHARACTERS]]
    details += [in_units(attachment.size)] if attachment.size is not None else []
    shown = ", ".join(detail for detail in details if detail)
    return " ".join(part for part in (_KINDS[attachment.kind], name and f'"{name}"', shown and f"({shown})") if part)


def note_of(names: str, words: str, reference: str) -> str:
    """Return the line about an attachment for the model, with the reference that tools take."""
    return f"[Attached: {names}. {words} Its file id is {reference}.]"


def problem_of(attachment: Attachment, problem: str) -> str:
    """Return a sentence for the person about an attachment that was not read."""
    verb = "listen to" if attachment.kind in (AttachmentKind.VOICE, AttachmentKind.AUDIO) else "read"
    return f"I could not {verb} your {described(attachment)}: {problem}."


def in_words(fault: ModelFault) -> str:
    """Return why there is no transcript: a sentence if it passes, otherwise the end of one that says so."""
    return _FAULTS.get(fault, _REFUSED)
