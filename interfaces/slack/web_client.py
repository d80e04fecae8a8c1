"""Slack's Web API by slack_sdk, over the network as all of Deputy reaches it."""

from __future__ import annotations

import logging
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from app.network import notice, tls_context
from app.proxies import proxy_for

_log = logging.getLogger(f"{__name__}.sdk")
_log.setLevel(logging.INFO)  # on DEBUG, slack_sdk logs what is posted, and the proxy with its password
_PROXY_ERRORS = (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)


class SlackWebClient(AsyncWebClient):
    """slack_sdk's client through the proxy and with the authorities of `app.network`; lives for a few calls.

    Args:
        base_url: Where Slack's Web API is; ends with a slash.
        arguments: As `AsyncWebClient` takes them.
    """

    def __init__(self, base_url: str, **arguments: Any) -> None:
        # Without a proxy here, slack_sdk looks for one itself: it does not heed NO_PROXY.
        super().__init__(base_url=base_url, proxy="http://none", ssl=tls_context(), logger=_log, **arguments)
        proxy = proxy_for(base_url)
        self._through = proxy
        self.proxy = None if proxy is None else proxy.url

    async def api_call(self, api_method: str, **arguments: Any) -> AsyncSlackResponse:
        """Call a method.

        Raises:
            SlackApiError: Slack refused it.
            aiohttp.ClientError: There was no answer.
        """
        try:
            return await super().api_call(api_method, **arguments)
        except aiohttp.ClientError as error:
            notice(error, self.base_url, self._through if isinstance(error, _PROXY_ERRORS) else None)
            raise
