"""``python -m nvrclient``: the command line."""

from nvrclient.cli import main

if __name__ == "__main__":
    main()
