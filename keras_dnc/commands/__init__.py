"""The commands of `python -m keras_dnc`, a module for each.

Each has `add`, which adds the command to the parser, and `run`.
"""
