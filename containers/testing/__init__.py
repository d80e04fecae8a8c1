"""Test support for a deployer's toolkits and for Deputy's own parts.

`docs/testing.md` shows how. Nothing here needs a test framework.
"""

from containers.testing.app import AppClient, open_test_app
from containers.testing.container import open_test_container, open_test_scope, settings_in, two_principals
from containers.testing.fakes import FakeAccess, FakeGoogle, FakeTokens, RecordingChannel, Sent
from containers.testing.isolation import IsolationError, assert_isolated
from containers.testing.models import answering, call, prompts, scripted, use_model

__all__ = [
    "AppClient",
    "FakeAccess",
    "FakeGoogle",
    "FakeTokens",
    "IsolationError",
    "RecordingChannel",
    "Sent",
    "answering",
    "assert_isolated",
    "call",
    "open_test_app",
    "open_test_container",
    "open_test_scope",
    "prompts",
    "scripted",
    "settings_in",
    "two_principals",
    "use_model",
]
