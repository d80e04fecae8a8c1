"""Acting needs a person: what is to run is shown, and runs once that person says so."""
