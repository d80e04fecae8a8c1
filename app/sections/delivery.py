"""The settings for processing accepted messages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from app.sections.section import Positive, Section, wrong


class DeliverySettings(Section):
    """How accepted messages are processed, retried and erased."""

    engine: Literal["embedded", "procrastinate"] = Field(
        default="embedded",
        description="How messages are scheduled: `embedded` for one process, `procrastinate` for any number of"
        " processes on one PostgreSQL",
    )
    server_answers: bool = Field(
        default=True,
        description="Whether `deputy serve` also answers messages; if false, it only accepts them, and `deputy worker`"
        " answers",
    )
    concurrency: int = Field(default=32, gt=0, description="Maximum messages in progress per process")
    person_concurrency: int = Field(default=4, gt=0, description="Maximum of these per person")
    deadline_seconds: Positive = Field(
        default=120, description="Time limit for one message, including its tools and model"
    )
    attempts: int = Field(
        default=4,
        ge=3,
        description="A message fails after the process has died or frozen this many times while answering it; the last"
        " attempts run it alone",
    )
    tries: int = Field(
        default=6,
        gt=0,
        description="A message fails after this many temporary faults (a busy model, a quota, no network)",
    )
    backoff_seconds: Positive = Field(
        default=2, description="Approximate wait after the first temporary fault; it doubles after each further one"
    )
    backoff_most_seconds: Positive = Field(default=120, description="Maximum wait after a temporary fault")
    reply_tries: int = Field(
        default=12, gt=0, description="Maximum attempts to post a reply before it is dropped; see `reply_seconds`"
    )
    reply_seconds: Positive = Field(
        default=86_400,
        description="Keep retrying a reply for at least this long, so that an outage of hours loses nothing",
    )
    backlog: int = Field(
        default=10_000,
        gt=0,
        description="While this many messages are waiting, new ones get a 503, so that the platform retries",
    )
    person_backlog: int = Field(
        default=500, gt=0, description="While this many messages of one person are waiting, their new ones get a 429"
    )
    person_messages: int | None = Field(
        default=None,
        gt=0,
        description="Maximum messages of one person that are answered within `person_messages_seconds`, over all"
        " processes. Further ones get a reply that says when to write again",
    )
    person_messages_seconds: Positive = Field(default=3600, description="See `person_messages`")
    scan_seconds: Positive = Field(default=5, description="How often to look for unfinished and expired rows")
    lease_seconds: Positive = Field(
        default=30, description="A process that freezes for this long loses the messages that it was answering"
    )
    grace_seconds: Positive = Field(
        default=20,
        description="After SIGTERM, messages in progress have this long to finish; the rest is handed over",
    )
    parked_seconds: Positive = Field(default=3600, description="How long a message waits for consent or approval")
    person_parked: int = Field(
        default=20, gt=0, description="Maximum messages of one person that wait for consent or approval at a time"
    )
    retention_days: Positive = Field(
        default=30, description="Texts, answers and addresses of finished messages are erased after this many days"
    )
    history_days: Positive = Field(
        default=90, description="The conversations that the model remembers are erased after this many days"
    )
    account_days: Positive = Field(
        default=365,
        description="The address of a disconnected account, which the audit shows until then, is erased after this many"
        " days",
    )

    @model_validator(mode="after")
    def _somebody_answers(self) -> DeliverySettings:
        if self.engine == "embedded" and not self.server_answers:
            raise wrong(
                "server_answers", "with engine: embedded nothing else answers; write true, or engine: procrastinate"
            )
        return self

    @model_validator(mode="after")
    def _waits_can_grow(self) -> DeliverySettings:
        if self.backoff_most_seconds < self.backoff_seconds:
            raise wrong("backoff_most_seconds", "must be at least backoff_seconds")
        return self
