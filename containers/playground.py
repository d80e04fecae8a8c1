"""Adds the page at `/` to the container: the playground where it is served, otherwise a page that says what this is."""

from __future__ import annotations

from functools import partial

from app.settings import Settings
from containers.application import Application, Once
from containers.scope_view import view_of
from interfaces.playground.interface import Playground
from interfaces.web.front import FrontPage


def add_front_page(container: Application, settings: Settings) -> None:
    """Give the container its page at `/`; with the playground, its request scopes and audit trail are shown there."""
    if not settings.serves_playground():
        container.routes.add_args(Once(FrontPage))
        return
    view = Once(partial(view_of, container), container.feed)
    container.request_scopes.add_kwargs(new_scope=view.provided.open)
    container.audit.add_kwargs(told=view.provided.tell_audited)
    pages = Once(
        Playground,
        container.channel_parts.providers["http.HttpRoutes"],
        container.accounts,
        container.account_providers,
        container.feed,
        view.provided.overview,
    )
    container.playground.set_providers({"view": view, "pages": pages})
    container.routes.add_args(pages)
