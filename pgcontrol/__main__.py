"""`python -m pgcontrol`."""

from pgcontrol.cli import main

if __name__ == "__main__":
    main()
