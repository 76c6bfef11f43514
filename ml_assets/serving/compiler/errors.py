"""The one error of the compiler."""


class NotCompiled(Exception):
    """The pipeline holds something that the compiled runtime cannot do; says what."""
