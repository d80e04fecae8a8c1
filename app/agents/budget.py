"""The budget of one message: how often its agents may ask a model and call a tool."""

from __future__ import annotations

from pydantic_ai import UsageLimits
from pydantic_ai.usage import RunUsage


class Budget:
    """Counts the model requests and tool calls of one message, over its agent and all members. Lives for one run.

    Both are counted as they begin, so that members that work at the same time cannot exceed the limits together.

    Attributes:
        usage: The requests and calls so far.
    """

    def __init__(self, limits: UsageLimits) -> None:
        self.usage = RunUsage()
        self._limits = limits

    def take_request(self) -> None:
        """Count a request that is about to be made.

        Raises:
            UsageLimitExceeded: It would be one too many.
        """
        self._limits.check_before_request(self.usage)
        self.usage.requests += 1

    def take_calls(self, calls: int) -> None:
        """Count tool calls that are about to be made.

        Raises:
            UsageLimitExceeded: They would be too many.
        """
        self._limits.check_before_tool_call(RunUsage(tool_calls=self.usage.tool_calls + calls))
        self.usage.tool_calls += calls

    def return_calls(self, calls: int) -> None:
        """Take back calls that did not succeed; those do not count."""
        self.usage.tool_calls -= calls
