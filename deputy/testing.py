"""Test support for toolkits; docs/testing.md shows how. It needs no test framework."""

# ruff: noqa: E402  # another package of the same name is reported before it could be imported

from deputy.packages import refuse_other_packages

refuse_other_packages()

from containers.testing import (
    AppClient,
    FakeAccess,
    FakeGoogle,
    FakeTokens,
    IsolationError,
    RecordingChannel,
    Sent,
    answering,
    assert_isolated,
    call,
    open_test_app,
    open_test_container,
    open_test_scope,
    prompts,
    scripted,
    settings_in,
    two_principals,
    use_model,
)

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
