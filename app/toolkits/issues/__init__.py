"""The person's issues on GitHub: those that are assigned to them, read, opened, answered and closed."""

from app.toolkits.issues.toolkit import IssuesToolkit

__all__ = ["IssuesToolkit"]
