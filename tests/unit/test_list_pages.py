"""Lists that Google returns page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from googleapiclient.http import HttpRequest

from app.google.apis import GoogleApis
from app.principal import Principal
from app.run import new_run
from app.toolkits.calendar import CalendarToolkit
from app.toolkits.drive import DriveToolkit
from containers.testing import FakeGoogle
from tests.fakes.zones import FixedZone

_APIS = GoogleApis(None)


@pytest.mark.parametrize(
    ("listing", "kind", "shown"),
    [
        (lambda google: CalendarToolkit(google).calendars, "items", "calendars"),
        (lambda google: DriveToolkit(google, FixedZone()).shared_drives, "drives", "drives"),
        (lambda google: DriveToolkit(google, FixedZone()).recent, "files", "files"),
        (lambda google: DriveToolkit(google, FixedZone()).folder, "files", "files"),
    ],
    ids=["calendars", "shared drives", "latest files", "folder"],
)
async def test_a_list_goes_on_where_it_ended(
    ada: Principal, listing: Callable[[FakeGoogle], Callable[..., Awaitable[dict[str, Any]]]], kind: str, shown: str
) -> None:
    """Each page gives the token for the next one, the last gives none, and every request asks for some fields only."""
    asked: list[dict[str, list[str]]] = []

    def answer(_: Principal, request: HttpRequest) -> object:
        asked.append(parse_qs(urlsplit(request.uri).query))
        number = len(asked)
        more = {"nextPageToken": f"page {number + 1}"} if number < 3 else {}
        return {kind: [{"id": f"id{number}", "summary": "s", "name": "n"}], **more}

    with new_run():
        ask = listing(FakeGoogle(ada, _APIS, answer))
        pages = [await ask()]
        while "next_page" in pages[-1]:
            pages.append(await ask(page=pages[-1]["next_page"]))

    assert [each["id"] for page in pages for each in page[shown]] == ["id1", "id2", "id3"]
    assert [each.get("pageToken") for each in asked] == [None, ["page 2"], ["page 3"]]
    assert all("nextPageToken" in each["fields"][0] for each in asked)
