"""The rules of the place that a message came from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """The rules of a place: a direct chat, or a group of one channel.

    Attributes:
        acts: Tools that act may run, with the person's approval.
        shared_history: The model also gets what others said here to the assistant, apart from anything private.
    """

    acts: bool
    shared_history: bool


DIRECT = PlaceRules(acts=True, shared_history=False)
GROUP = PlaceRules(acts=False, shared_history=False)
