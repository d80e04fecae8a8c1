"""How accepted messages are answered."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from app.sections.section import Positive, Section, wrong


class DeliverySettings(Section):
    """How accepted messages are answered."""

    engine: Literal["embedded", "procrastinate"] = Field(
        default="embedded",
        description="Who wakes conversations: `embedded`, one process; `procrastinate`, any number on one PostgreSQL",
    )
    server_answers: bool = Field(
        default=True,
        description="Whether `deputy serve` answers messages too; if not, it takes them and `deputy worker` answers",
    )
    concurrency: int = Field(default=32, gt=0, description="Messages that one process answers at the same time")
    person_concurrency: int = Field(default=4, gt=0, description="Of these, messages of one person")
    deadline_seconds: Positive = Field(default=120, description="For one message, tools and model included")
    attempts: int = Field(
        default=4,
        ge=3,
        description="A message is given up when the process died or froze under it so often, the last times alone",
    )
    tries: int = Field(
        default=6, gt=0, description="Maximum attempts when a fault may pass (a busy model, a quota, no network)"
    )
    backoff_seconds: Positive = Field(default=2, description="About the first wait after a passing fault; it doubles")
    backoff_most_seconds: Positive = Field(default=120, description="No such wait is longer")
    reply_tries: int = Field(
        default=12,
        gt=0,
        description="Maximum attempts before a reply that its channel refuses is dropped; see reply_seconds",
    )
    reply_seconds: Positive = Field(
        default=86_400,
        description="Keep retrying a reply for at least this long, so that an outage of hours loses nothing",
    )
    backlog: int = Field(
        default=10_000,
        gt=0,
        description="While this many messages wait, new ones are answered 503 for the platform to retry",
    )
    person_backlog: int = Field(
        default=500, gt=0, description="While this many messages of one person wait, their new ones are answered 429"
    )
    scan_seconds: Positive = Field(default=5, description="How often undone and expired rows are looked for")
    lease_seconds: Positive = Field(
        default=30, description="A process that hangs for this long loses the messages that it was answering to others"
    )
    grace_seconds: Positive = Field(
        default=20,
        description="How long messages in progress may take to finish after SIGTERM; the rest is handed over",
    )
    parked_seconds: Positive = Field(default=3600, description="How long a message waits for consent or approval")
    person_parked: int = Field(
        default=20, gt=0, description="Messages of one person that may wait for consent or approval at a time"
    )
    retention_days: Positive = Field(
        default=30, description="Texts, answers and addresses of ended messages are erased after this many days"
    )
    history_days: Positive = Field(
        default=90, description="A person's history, which the model is shown, is erased after this many days"
    )

    account_days: Positive = Field(
        default=365, description="For this long the audit can name an account that was disconnected; then it is erased"
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
