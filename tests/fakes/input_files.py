"""The input files of one person's tool calls, without a Google."""

from __future__ import annotations

from collections.abc import Mapping

import urllib3

from app.attachments.reading import Fetches
from app.database.database import Database
from app.deadline import Deadline
from app.delivery.store.received import SentFiles
from app.google.apis import GoogleApis
from app.google.client import GoogleClient
from app.principal import Principal
from app.toolkits.input_files import InputFiles
from tests.fakes.google_api import FakeCredentials, LoopThreads, Recorder, google_faults

_APIS, _POOL = GoogleApis("http://127.0.0.1:9"), urllib3.PoolManager()


def input_files(person: Principal, database: Database, channels: Mapping[str, Fetches]) -> InputFiles:
    """Return the files that a person sent through these channels; no others exist."""
    google = GoogleClient(
        FakeCredentials("none"), _APIS, _POOL, LoopThreads(), Deadline.after(20), Recorder(), google_faults()
    )
    return InputFiles(person, SentFiles(database, channels), google, max_bytes=1_000_000)
