"""The two ways in which a command ends badly: what came in was wrong, or something went wrong on
the way.

Messages are one line, for people: what was asked, what came, what to do. `__main__.py` prints them
and turns them into exit codes.
"""


class InputError(Exception):
    """Flags, files or pictures that cannot be used: exit code 2."""


class RunError(Exception):
    """A run that had to stop: exit code 1."""
