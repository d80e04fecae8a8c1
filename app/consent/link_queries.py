"""The queries for links that more than one module needs."""

from __future__ import annotations

import sqlalchemy as sa

from app.consent.link import LinkState
from app.database.prepared import Prepared
from app.database.tables import consent_links, of_person, owned_by, parked_runs, quarantined_grants
from app.principal import Principal

BEFORE_GOOGLE = (LinkState.ISSUED, LinkState.OPENED)
# A process that ended right after Google's yes has left a consented link behind, and nothing that waits by it.
_WAITS = sa.exists().where(quarantined_grants.c.link_id == consent_links.c.id)
_MAY_LEAD_ON = sa.or_(
    consent_links.c.state.in_(BEFORE_GOOGLE), sa.and_(consent_links.c.state == LinkState.CONSENTED, _WAITS)
)
_LINK = sa.select(consent_links)
_ID = consent_links.c.id == sa.bindparam("of_link")
_IN_TIME = consent_links.c.expires_at > sa.bindparam("now", type_=sa.Double)
OF_PERSON = Prepared(_LINK.where(of_person(consent_links), _ID))
ISSUED_TO_PERSON = Prepared(
    _LINK.where(of_person(consent_links), _ID, consent_links.c.state == LinkState.ISSUED, _IN_TIME)
)
# For a browser: nobody has said yet who sits before it.
OF_ANYBODY = Prepared(_LINK.where(_ID))
OPENED = Prepared(_LINK.where(_ID, consent_links.c.state == LinkState.OPENED))
OF_TOKEN = Prepared(_LINK.where(consent_links.c.token_hash == sa.bindparam("of_hash")))
OF_STATE = Prepared(
    _LINK.where(
        consent_links.c.state_hash == sa.bindparam("of_hash"), consent_links.c.state == LinkState.OPENED, _IN_TIME
    )
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
