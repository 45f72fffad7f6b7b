"""`python -m dgxcert` is the `dgxcert` command."""

from dgxcert.cli import main

if __name__ == "__main__":
    main()
