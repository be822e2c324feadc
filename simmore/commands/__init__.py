"""The command line: ``simmore COMMAND``."""
