"""`python -m dgxcert.probes.hub` prints a diagnosis of the way to the Hub as JSON."""

from dgxcert.probes.hub.diagnosis import main

if __name__ == "__main__":
    main()
