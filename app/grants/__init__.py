"""What Google granted to a person: grants, accounts and their refresh."""
