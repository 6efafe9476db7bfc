"""What ends the demo early? Anything that is not as it must be."""


class Surprise(Exception):
    """Something is not as it must be: the demo says so and exits with 1."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise Surprise unless `holds`."""
    if not holds:
        raise Surprise(otherwise)
