"""The queries for links that more than one module needs."""

from __future__ import annotations

import sqlalchemy as sa

from app.consent.link import LinkState
from app.database.tables import consent_links, owned_by, parked_runs, quarantined_grants
from app.principal import Principal

BEFORE_GOOGLE = (LinkState.ISSUED, LinkState.OPENED)
# A process that ended right after Google's yes has left a consented link behind, and nothing that waits by it.
_WAITS = sa.exists().where(quarantined_grants.c.link_id == consent_links.c.id)
_MAY_LEAD_ON = sa.or_(
    consent_links.c.state.in_(BEFORE_GOOGLE), sa.and_(consent_links.c.state == LinkState.CONSENTED, _WAITS)
)


def open_links(principal: Principal, now: float) -> sa.Select[tuple[object, ...]]:
    """Select the links of this person that may still lead to a grant, the newest first."""
    return (
        sa.select(consent_links)
        .where(owned_by(consent_links, principal), _MAY_LEAD_ON, consent_links.c.expires_at > now)
        .order_by(consent_links.c.created_at.desc())
    )


def waited_for(principal: Principal) -> sa.Select[tuple[object, ...]]:
    """Select the links, over or not, that parked runs of this person wait for."""
    return (
        sa.select(consent_links)
        .join(parked_runs, parked_runs.c.link_id == consent_links.c.id)
        .where(owned_by(consent_links, principal))
    )
