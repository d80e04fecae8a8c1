"""From a consent link to an active grant, and back: linking, quarantine, revocation."""
