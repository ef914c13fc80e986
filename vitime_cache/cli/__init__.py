"""The command line: one module per command, with shared arguments and output."""
