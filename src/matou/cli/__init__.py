"""The command line of Matou."""


def main() -> None:
    """Run the command line."""
