"""The column that names a message's attachments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.messages import Attachment, AttachmentKind


def dump(attachments: Sequence[Attachment]) -> list[dict[str, Any]] | None:
    """Return the attachments as JSON values, or None if there are none."""
    return [asdict(attachment) for attachment in attachments] or None


def load(values: Sequence[dict[str, Any]] | None) -> tuple[Attachment, ...]:
    """Return the attachments that `dump` wrote."""
    return tuple(Attachment(**{**value, "kind": AttachmentKind(value["kind"])}) for value in values or ())
