"""What a user can cause, and how it is said: key, bad value, what is allowed, and what to type.

ExpError
├── ConfigError      a choice or a knob is wrong
├── DataError        the rows cannot be trained on
├── CheckpointError  a checkpoint cannot be written or read
└── Diverged         the loss became NaN or infinite
"""


class ExpError(Exception):
    """A mistake that a user can mend: `problem` in one sentence, `cure` what to type or do."""

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(problem, cure)
        self.problem = problem
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.problem}\n  try: {self.cure}"


class ConfigError(ExpError):
    pass


class DataError(ExpError):
    pass


class CheckpointError(ExpError):
    pass


class Diverged(ExpError):  # noqa: N818  # what happened, not an error in what was asked
    pass
