"""FastAPI's `Depends`, filled from the container, and the routes of what the settings serve."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, TypeVar

from dependency_injector import providers
from fastapi import APIRouter, Depends, Header

from app.api_tokens import ApiTokens
from app.deadline import Deadline
from app.principal import Principal
from app.run import new_run
from app.sections.interfaces import SlackSettings
from app.settings import Settings
from containers.application import Application
from containers.scopes.scope import Scope
from containers.slack import bot_tokens, installing
from interfaces.http import interface as http
from interfaces.http.verification import bearer_token
from interfaces.slack.allow_list import AllowList
from interfaces.web import interface as web
from interfaces.web.cookies import Cookies
from interfaces.web.formatting import page

T = TypeVar("T")
PrincipalOf = Callable[..., Any]


def once(provider: providers.Provider[T]) -> Any:
    """Depends: a process-lived object, asked for anew with each request so that an override reaches it."""

    async def resolve() -> T:
        return provider()

    return Depends(resolve)


def scoped(provider: providers.Provider[T], principal_of: PrincipalOf, deadline_seconds: float) -> Any:
    """Depends: the one object of a person that a route needs, in a request scope that ends after the response.

    Args:
        provider: A scoped provider.
        principal_of: The dependency that says whose request it is.
        deadline_seconds: How long the request may take.
    """

    async def resolve(principal: Principal = Depends(principal_of)) -> AsyncIterator[T]:
        with new_run():
            async with Scope(principal, Deadline.after(deadline_seconds)) as scope:
                yield scope.get(provider)

    return Depends(resolve)


def http_principal(container: Application) -> PrincipalOf:
    """The dependency that knows an HTTP request's principal by its bearer token."""

    async def principal_of(
        authorization: Annotated[str | None, Header()] = None, tokens: ApiTokens = once(container.api_tokens)
    ) -> Principal:
        return await tokens.principal_of(bearer_token(authorization))

    return principal_of


def routers(container: Application, settings: Settings) -> list[APIRouter]:
    """The routes of every interface that the settings serve, with what they depend on."""
    found = [
        web.router(
            consent=once(container.consent),
            confirmation=once(container.confirmation),
            google_apis=once(container.google_apis),
            people=once(container.people),
            secure=settings.server.public_url.startswith("https://"),
            cookie_seconds=settings.consent.link_seconds,
            code_seconds=settings.consent.code_seconds,
        )
    ]
    if settings.interfaces.http is not None:
        principal_of = http_principal(container)
        agent = container.agents.providers[settings.agent_of_channel()["http"]]
        found.append(
            http.router(
                principal=Depends(principal_of),
                intake=once(container.intake),
                inbox=once(container.inbox),
                statuses=once(container.statuses),
                channel=once(container.http_channel),
                streams=once(container.streams),
                agent=scoped(agent, principal_of, settings.delivery.deadline_seconds),
                wait_seconds=settings.interfaces.http.wait_seconds,
            )
        )
    if settings.interfaces.slack is not None:
        found.extend(_slack_routers(container, settings, settings.interfaces.slack))
    return found


def _slack_routers(container: Application, settings: Settings, slack: SlackSettings) -> Iterator[APIRouter]:
    from interfaces.slack import interface, pages  # the SDK is imported only where Slack is served

    yield interface.router(
        intake=once(container.intake),
        bot_tokens=once(bot_tokens(container, slack)),
        offboarding=once(container.offboarding),
        allow_list=AllowList(slack.workspaces),
        signing_secret=slack.signing_secret.get_secret_value(),
        now=time.time,
    )
    if slack.bot_token is None:
        yield pages.router(
            installing=once(installing(container, settings, slack)),
            page=page,
            cookies=Cookies(secure=settings.server.public_url.startswith("https://")),
        )
