"""The audit trail: who did what with which account, in rows that are never changed."""
