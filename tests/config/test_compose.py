from argparse import ArgumentParser

from exp.config.compose import parse_arguments


def test_argparse_is_unchanged_after_a_command_line_is_parsed():
    """With Python 3.14, Hydra's parser can only be built with a patched argparse."""
    assert parse_arguments(["-m", "epochs=3"]).overrides == ["epochs=3"]
    assert {function.__module__ for function in vars(ArgumentParser).values() if callable(function)} == {"argparse"}
