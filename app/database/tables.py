"""Every table. Times are POSIX seconds, ids are 32 hexadecimal digits, and a person is always three columns.

They are in one module, although it has more than 300 lines, because they refer to each other and form one schema.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.database.prepared import Columns
from app.principal import MAX_PART_LENGTH, Principal

EVENT_ID_LENGTH = 512  # characters
CONVERSATION_LENGTH = 512  # characters
HOLDER_LENGTH = 128  # characters
ERROR_LENGTH = 64  # characters
PROVIDER_LENGTH = 63  # characters

metadata = sa.MetaData()


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.String(32), primary_key=True)


def _principal(*, primary_key: bool = False) -> tuple[sa.Column[str], ...]:
    return tuple(
        sa.Column(name, sa.String(MAX_PART_LENGTH), nullable=False, primary_key=primary_key)
        for name in ("platform", "tenant", "user_id")
    )


def _sealed(name: str, kind: str, *bound_to: str, server_default: str | None = None) -> sa.Column[str]:
    """Return a column whose text the key ring seals; "" if there is nothing to seal.

    This is the only declaration of its bindings: `kind`, which no other sealed column has, and the row's values in the
    columns `bound_to`, in this order. The `provider` is bound where it is not Google: what was sealed before there were
    others still opens, and a list of bindings with one more value opens nothing of Google's. Seal and open it with
    app/keys/sealed_columns.py.
    """
    info = {"kind": kind, "bound_to": bound_to}
    return sa.Column(name, sa.Text, nullable=False, info=info, server_default=server_default)


def _provider(*, primary_key: bool = False) -> sa.Column[str]:
    """Return the column for the provider of an account, by its name in the settings."""
    length = sa.String(PROVIDER_LENGTH)
    return sa.Column("provider", length, nullable=False, primary_key=primary_key, server_default="google")


def _time(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def _lease() -> tuple[sa.Column[Any], ...]:
    """Return the columns for the process that holds the row, and until when on the database's clock; else NULL."""
    return sa.Column("lease_holder", sa.String(HOLDER_LENGTH), nullable=True), _time("lease_until", nullable=True)


def _partial_index(name: str, where: str, *columns: str, unique: bool = False) -> sa.Index:
    return sa.Index(name, *columns, unique=unique, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


api_tokens = sa.Table(
    "api_tokens",
    metadata,
    _id(),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),  # SHA-256, hexadecimal
    *_principal(),
    sa.Column("label", sa.String(255), nullable=False),
    # The hash again, sealed: in a row that was written by hand, or moved to another person, it does not open.
    _sealed("sealed_verifier", "api_tokens", "platform", "tenant", "user_id", "id", "email", server_default=""),
    _time("created_at"),
    _time("revoked_at", nullable=True),
    sa.Column("email", sa.String(320), nullable=True),  # the administrator who issued it vouches for it
)

users = sa.Table(
    "users",
    metadata,
    *_principal(primary_key=True),
    _time("first_seen_at", nullable=True),  # None for a person who was offboarded before they wrote anything
    _time("last_seen_at", nullable=True),  # to the hour
    _time("offboarded_at", nullable=True),  # since then the person is refused
    _time("ended_at", nullable=True),  # when nothing of an offboarded person was left to end
)

_CONVERSATION = ("platform", "tenant", "conversation")

messages = sa.Table(
    "messages",
    metadata,
    _id(),
    *_principal(),
    sa.Column("event_id", sa.String(EVENT_ID_LENGTH), nullable=False),  # the platform's id of the delivery
    sa.Column("conversation", sa.String(CONVERSATION_LENGTH), nullable=False),  # unique within platform and tenant
    sa.Column("sequence", sa.Integer, nullable=False),  # 1, 2, … within the conversation
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("address", sa.JSON, nullable=False),  # where the channel answers
    sa.Column("attachments", sa.JSON(none_as_null=True), nullable=True),  # files by reference; None if there are none
    sa.Column("state", sa.String(16), nullable=False),  # new, running, parked, done, failed
    sa.Column("attempt", sa.Integer, nullable=False),  # fences every change of a running row
    sa.Column("interruptions", sa.Integer, nullable=False),  # how many attempts ended without a state of their own
    *_lease(),  # who works on a running row
    sa.Column(
        "failures", sa.Integer, nullable=False, server_default="0"
    ),  # temporary faults since it was last restarted
    sa.Column("last_error", sa.String(ERROR_LENGTH), nullable=True),  # its class; never a text
    _time("next_try_at", nullable=True),  # not earlier; on the database's clock
    sa.Column("payload", sa.String(EVENT_ID_LENGTH), nullable=True),  # the channel's id of the raw message
    sa.Column("notes", sa.JSON(none_as_null=True), nullable=True),  # the channel's, about the reply that it shows
    sa.Column("answer", sa.Text, nullable=True),
    sa.Column("files", sa.JSON(none_as_null=True), nullable=True),  # that go with the answer, by reference
    sa.Column("link_id", sa.String(32), nullable=True),  # of the consent link that is shown with the answer
    sa.Column("private", sa.Boolean, nullable=False),  # the answer may be shown to this person alone
    _time("created_at"),
    _time("changed_at"),
    _time("replied_at", nullable=True),  # when the channel accepted the reply for the row's state
    sa.UniqueConstraint("platform", "tenant", "event_id", name="uq_messages_event"),
    sa.UniqueConstraint("platform", "tenant", "conversation", "sequence", name="uq_messages_sequence"),
    sa.Index("ix_messages_state", "state", "changed_at"),
    _partial_index("uq_messages_running", "state = 'running'", *_CONVERSATION, unique=True),  # one at a time
    _partial_index("ix_messages_open", "state IN ('new', 'running')", *_CONVERSATION, "sequence"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    _id(),
    *_principal(),
    sa.Column("conversation", sa.String(CONVERSATION_LENGTH), nullable=False),
    sa.Column("message_id", sa.String(32), sa.ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    sa.Column("message_state", sa.String(16), nullable=False),  # the reply reports this state …
    sa.Column("message_attempt", sa.Integer, nullable=False),  # … of this attempt; if it has changed, nothing is sent
    sa.Column("state", sa.String(16), nullable=False),  # waiting, sent, obsolete, given_up
    sa.Column("tries", sa.Integer, nullable=False),  # attempts to send it; fences every change
    sa.Column("last_error", sa.String(ERROR_LENGTH), nullable=True),
    _time("next_try_at", nullable=True),
    *_lease(),
    _time("created_at"),  # on the database's clock: a conversation's replies are sent in this order
    sa.Index("ix_outbox_conversation", "platform", "tenant", "conversation", "state"),
    sa.Index("ix_outbox_state", "state", "next_try_at"),
    sa.Index("ix_outbox_message", "message_id"),
)

person_rates = sa.Table(
    "person_rates",
    metadata,
    *_principal(primary_key=True),
    _time("free_at"),  # when all of the person's messages will be free again
)

begun_writes = sa.Table(
    "begun_writes",
    metadata,
    _id(),
    *_principal(),
    sa.Column("message_id", sa.String(32), sa.ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    sa.Column("tool", sa.String(255), nullable=False),
    _time("created_at"),
    sa.Index("ix_begun_writes_message", "message_id"),
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("holder", sa.String(HOLDER_LENGTH), primary_key=True),  # one process
    sa.Column("machine", sa.String(64), nullable=False),  # the holder's boot id and process namespace
    sa.Column("engine", sa.String(32), nullable=False),
    sa.Column("address", sa.String(255), nullable=False),  # where it listens
    _time("until"),  # on the database's clock
)

parked_runs = sa.Table(
    "parked_runs",
    metadata,
    sa.Column("message_id", sa.String(32), sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    *_principal(),
    sa.Column("waits_for", sa.String(16), nullable=False),  # consent or approval
    sa.Column("link_id", sa.String(32), nullable=True),
    sa.Column("run", sa.Text, nullable=False),  # the run so far and its pending calls, JSON
    sa.Column("decision", sa.String(16), nullable=True),  # granted or refused, once a consent has ended
    _time("expires_at"),
)

approvals = sa.Table(
    "approvals",
    metadata,
    _id(),
    *_principal(),
    sa.Column("code", sa.String(8), nullable=False),  # what the person types: 4 hexadecimal digits
    sa.Column("message_id", sa.String(32), sa.ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    sa.Column("call_id", sa.String(255), nullable=False),
    sa.Column("tool", sa.String(255), nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),  # exactly what will run, JSON
    sa.Column("form", sa.Text, nullable=True),  # the tool's question in the middle of the call, JSON
    sa.Column("answer", sa.Text, nullable=True),  # the person's answer to it, JSON, until the call has ended
    sa.Column("state", sa.String(16), nullable=False),  # pending, approved, running, done, denied, expired
    _time("created_at"),
    _time("expires_at"),
    _time("decided_at", nullable=True),  # by the person
    sa.UniqueConstraint("platform", "tenant", "user_id", "code", name="uq_approvals_code"),
    sa.Index("ix_approvals_message", "message_id"),
)

turns = sa.Table(
    "turns",
    metadata,
    _id(),
    *_principal(),
    sa.Column("conversation", sa.String(CONVERSATION_LENGTH), nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),  # of the message that this turn answered
    sa.Column("messages", sa.Text, nullable=False),  # pydantic-ai messages of one turn, JSON
    sa.Column("private", sa.Boolean, nullable=False),  # contains something from the person's account
    _time("created_at"),
    sa.UniqueConstraint("platform", "tenant", "user_id", "conversation", "sequence", name="uq_turns_sequence"),
)

grants = sa.Table(
    "grants",
    metadata,
    _id(),
    *_principal(),
    _provider(),
    sa.Column("subject", sa.String(255), nullable=False),  # the account's stable id
    sa.Column("email", sa.String(320), nullable=False),  # or whatever else its person knows it by
    sa.Column("granted_scopes", sa.Text, nullable=False),  # OAuth scopes, parted by a space
    _sealed("sealed_tokens", "grants", "platform", "tenant", "user_id", "subject", "id", "provider"),
    sa.Column("version", sa.Integer, nullable=False),  # counts every change of the tokens
    sa.Column("state", sa.String(16), nullable=False),  # a GrantState; "replaced" in an earlier version
    sa.Column("alias", sa.String(32), nullable=True),  # the person's name for the account
    _time("created_at"),
    _time("changed_at"),
    sa.UniqueConstraint("platform", "tenant", "user_id", "provider", "subject", name="uq_grants_subject"),
)

# What the audit trail calls by the grant's id, once the grant is deleted; erased after `delivery.account_days`.
former_accounts = sa.Table(
    "former_accounts",
    metadata,
    sa.Column("grant_id", sa.String(32), primary_key=True),
    *_principal(),
    _sealed("sealed_email", "former_accounts", "platform", "tenant", "user_id", "grant_id"),
    _time("ended_at"),
)

account_choices = sa.Table(
    "account_choices",
    metadata,
    *_principal(primary_key=True),
    sa.Column("conversation", sa.String(CONVERSATION_LENGTH), primary_key=True),  # empty: the default
    _provider(primary_key=True),
    sa.Column("grant_id", sa.String(32), nullable=False),  # stays when the grant ends, so that no other replaces it
)

refresh_leases = sa.Table(
    "refresh_leases",
    metadata,
    sa.Column("grant_id", sa.String(32), primary_key=True),  # no foreign key: a grant may be erased under its lease
    *_principal(),
    sa.Column("holder", sa.String(32), nullable=False),  # "" while nobody holds it and nobody may take it
    sa.Column("failures", sa.Integer, nullable=False),  # consecutive calls that Google did not answer
    _time("expires_at"),  # on the database's clock
)

poll_leases = sa.Table(
    "poll_leases",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),  # what is polled: ``telegram:<bot id>``
    sa.Column("holder", sa.String(100), nullable=False),  # the process that polls
    _time("expires_at"),  # on the database's clock
)

moved_chats = sa.Table(
    "moved_chats",
    metadata,
    sa.Column("platform", sa.String(32), primary_key=True),
    sa.Column("tenant", sa.String(255), primary_key=True),
    sa.Column("chat", sa.String(64), primary_key=True),  # the platform's id of a group now
    sa.Column("first_chat", sa.String(64), nullable=False),  # the id under which its conversations are kept
)

consent_links = sa.Table(
    "consent_links",
    metadata,
    _id(),
    *_principal(),
    _provider(),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("state_hash", sa.String(64), nullable=True, unique=True),
    sa.Column("cookie_hash", sa.String(64), nullable=True),
    # The link's token; once opened, also the state, the nonce and the PKCE verifier; finally the sign-in's outcome.
    _sealed("sealed_secrets", "consent_links", "platform", "tenant", "user_id", "id", "provider"),
    sa.Column("oauth_scopes", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),  # a LinkState
    sa.Column("place", sa.String(16), nullable=False, server_default="direct"),  # where it was asked for, or group
    sa.Column("widens", sa.String(255), nullable=True),  # the subject of the only account that it may be used for
    sa.Column("alias", sa.String(32), nullable=True),  # the name that its person wants for the account
    _time("created_at"),
    _time("expires_at"),
    sa.Index("ix_consent_links_principal", "platform", "tenant", "user_id", "state"),
)

_QUARANTINED = ("platform", "tenant", "user_id", "subject", "link_id", "provider")

quarantined_grants = sa.Table(
    "quarantined_grants",
    metadata,
    sa.Column("link_id", sa.String(32), primary_key=True),
    *_principal(),
    _provider(),
    sa.Column("subject", sa.String(255), nullable=False),  # the account's stable id; "" until it is known
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("granted_scopes", sa.Text, nullable=False),  # OAuth scopes, parted by a space
    _sealed("sealed_tokens", "quarantined_grants.tokens", *_QUARANTINED),
    # The code, or the expected login, that confirms that the link's person signed in.
    _sealed("sealed_proof", "quarantined_grants.proof", *_QUARANTINED),
    sa.Column("tries", sa.Integer, nullable=False),  # wrong codes so far …
    sa.Column("tried_by", sa.Text, nullable=False, server_default=""),  # … and the ids of the messages with them
    sa.Column("state", sa.String(16), nullable=False),  # a QuarantineState
    _time("created_at"),
    _time("expires_at"),
    sa.Index("ix_quarantined_grants_principal", "platform", "tenant", "user_id"),
    sa.Index("ix_quarantined_grants_subject", "subject"),
)

slack_installations = sa.Table(
    "slack_installations",
    metadata,
    _id(),
    # The workspace, "T…", or the organisation, "E…", if the app was installed for all of its workspaces.
    sa.Column("workspace", sa.String(MAX_PART_LENGTH), nullable=False, unique=True),
    sa.Column("organisation", sa.String(MAX_PART_LENGTH), index=True),  # "E…": the one that the workspace is part of
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("bot_user", sa.String(64), nullable=False),  # the bot's user id, "U…"
    sa.Column("bot_scopes", sa.Text, nullable=False),  # what the bot may do, parted by a space
    sa.Column("installed_by", sa.String(64), nullable=False),  # a Slack user id
    _sealed("sealed_bot_token", "slack_installations", "workspace", "id"),
    _time("installed_at"),
)

slack_installs_begun = sa.Table(
    "slack_installs_begun",
    metadata,
    sa.Column("state_hash", sa.String(64), primary_key=True),  # SHA-256, hexadecimal
    sa.Column("cookie_hash", sa.String(64), nullable=False),  # of the browser that began it
    _time("expires_at"),
)

key_checks = sa.Table(
    "key_checks",
    metadata,
    sa.Column("id", sa.String(63), primary_key=True),  # of a key
    sa.Column("proof", sa.Text, nullable=False),  # a known text that this very key sealed: no other one takes its place
)

# Append-only; triggers refuse to change or delete a row. No foreign key: the row that it refers to may be gone.
audit_events = sa.Table(
    "audit_events",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
    *_principal(),
    sa.Column("event", sa.String(16), nullable=False),
    _time("at"),
    sa.Column("message_id", sa.String(32), nullable=True),
    sa.Column("tool_call", sa.String(32), nullable=True),  # joins the rows of one call of one tool
    sa.Column("tool", sa.String(255), nullable=True),
    sa.Column("member", sa.String(63), nullable=True),  # of a team, that called the tool
    sa.Column("credential", sa.String(320), nullable=True),  # a grant's id, or the address that delegation acted as
    sa.Column("method", sa.String(255), nullable=True),  # Google's method id
    sa.Column("status", sa.Integer, nullable=True),  # HTTP; NULL where no answer was seen
    sa.Column("provider", sa.String(PROVIDER_LENGTH), nullable=True),  # of the credential, where the event is about it
    sa.Column("outcome", sa.String(16), nullable=True),  # of a tool: begun, done or failed
    sa.Index("ix_audit_events_principal", "platform", "tenant", "user_id", "number"),
    sa.Index("ix_audit_events_message", "message_id"),
)

# What MCP servers say of their tools: nobody's, and written by strangers.
mcp_pins = sa.Table(
    "mcp_pins",
    metadata,
    sa.Column("server", sa.String(64), primary_key=True),  # its name in the settings
    sa.Column("tool", sa.String(128), primary_key=True),
    sa.Column("accepted", sa.Text, nullable=False),  # the definition that models are shown, as JSON
    sa.Column("changed_to", sa.Text, nullable=True),  # the present one, if it was ever another since; then it is off
    _time("seen_at"),
)

# The authorization servers of MCP servers that name them themselves, and Deputy's client there: nobody's.
discovered_clients = sa.Table(
    "discovered_clients",
    metadata,
    sa.Column("server", sa.String(64), primary_key=True),  # its name in the settings
    sa.Column("issuer", sa.Text, nullable=False),  # the first one that it named, until an administrator accepts another
    sa.Column("redirect_uri", sa.Text, nullable=False),  # the client's; "" until there is one
    sa.Column("client_id", sa.Text, nullable=False),
    sa.Column("authentication", sa.String(16), nullable=False),  # a ClientAuthentication
    _sealed("sealed_secret", "discovered_clients", "server", "issuer", "client_id"),
    _time("expires_at", nullable=True),  # when the client's secret does
    *_lease(),  # of the process that registers the client
)


def owned_by(table: sa.Table, principal: Principal) -> sa.ColumnElement[bool]:
    """Return the condition that a row belongs to this principal: all three parts are equal."""
    return sa.and_(
        table.c.platform == principal.platform,
        table.c.tenant == principal.tenant,
        table.c.user_id == principal.user,
    )


def of_person(table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition of `owned_by`, for a statement that is made once and whose parameters are `whose`."""
    parts = {"of_platform": table.c.platform, "of_tenant": table.c.tenant, "of_user_id": table.c.user_id}
    return sa.and_(*(column == sa.bindparam(name, type_=column.type) for name, column in parts.items()))


def whose(principal: Principal) -> dict[str, str]:
    """Return the parameters of a statement with `of_person` in it."""
    return {"of_platform": principal.platform, "of_tenant": principal.tenant, "of_user_id": principal.user}


def owner(principal: Principal) -> dict[str, str]:
    """Return the three column values that make a row this principal's."""
    return {"platform": principal.platform, "tenant": principal.tenant, "user_id": principal.user}


def principal_of(row: Columns) -> Principal:
    """Return the principal that a row belongs to."""
    return Principal(row.platform, row.tenant, row.user_id)
