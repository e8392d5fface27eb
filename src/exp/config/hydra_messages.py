"""Patterns of the error messages of Hydra and OmegaConf. Only this module depends on their wording.

Each pattern captures what the message names. tests/cli/test_hydra_messages.py provokes each with the installed Hydra.
"""

import re

NO_GROUP_OPTION = re.compile(r"Could not find '(.+?/.*?)'")
VALUE_FOR_GROUP = re.compile(r"Config group override must be a string")
SEVERAL_VALUES = re.compile(r"Ambiguous value for argument '(.+?)'")
SWEEP_WITHOUT_FLAG = re.compile(r"Sweep parameters '(.+)' requires --multirun")
CANNOT_OVERRIDE = re.compile(r"Could not override '(.+?)'")
CANNOT_DELETE = re.compile(r"Could not delete from config\. '(.+?)'")
ALREADY_THERE = re.compile(r"Could not append to config\. An item is already at '(.+?)'")
WRONG_VALUE = re.compile(r"Error merging override (.+)")
WRONG_IN_FILE = re.compile(r"In '[\w/]+': \w+ raised while composing config:\s*(.+?)\s*full_key: ([\w.]+)", re.DOTALL)
SEARCH_ONLY = re.compile(r"does not support sweep type")
CHOSEN_TWICE = re.compile(r"Multiple values for ([\w/]+)")

# Matched against what WRONG_IN_FILE captures.
UNKNOWN_KEY_IN_FILE = re.compile(r"Key '")
WRONG_VALUE_IN_FILE = re.compile(r"Value '(.+?)' of type")

# From OmegaConf, when it resolves a value.
UNKNOWN_INTERPOLATION = re.compile(r"Interpolation key '(.+?)' not found")

# Hydra's advice, which is wrong here: exp reads no added keys.
APPEND_ADVICE = re.compile(r".*To append to your config.*\n?")
