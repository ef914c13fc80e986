"""The command line: one module per command, and how all of them speak to a person."""
