"""The floor of a start: a console script that does nothing."""


def main() -> None:
    pass


if __name__ == "__main__":
    main()
