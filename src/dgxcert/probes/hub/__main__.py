"""`python -m dgxcert.probes.hub` tests a download from the Hub and prints the result as JSON."""

from dgxcert.probes.hub.diagnosis import main

if __name__ == "__main__":
    main()
