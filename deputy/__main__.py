"""`python -m deputy` is the command `deputy`."""

from deputy.command import main

main()
