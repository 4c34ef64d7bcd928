"""What stops the stack from coming up, said in one line with the remedy."""


class StackError(Exception):
    """The stack cannot come up. Its text is one line for the person at the terminal: what is wrong and what to do."""
