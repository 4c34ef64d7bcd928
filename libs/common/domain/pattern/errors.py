"""What is refused, named by the place in it that is wrong."""


class _Misplaced(ValueError):
    """`path` is the place that is at fault, if known; `reason` the rule that it breaks."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}" if path else reason)


class InvalidPattern(_Misplaced):
    """A filter that breaks a rule of the language; `path` is a place such as `topic[0].prefix`."""


class InvalidEvent(_Misplaced):
    """Not a JSON event: no object, a number that JSON lacks, nested too deep."""
