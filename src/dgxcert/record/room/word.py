"""The word that every host of a room gets: that it was validated, or why it was not."""

from enum import StrEnum


class Word(StrEnum):
    """Whether a host was validated, or why it was not. A host that no word fits is no pass: `could not start`."""

    VALIDATED = "validated"
    """Its run is here, with a verdict."""
    REFUSED = "refused"
    """Nothing listens where its SSH service should."""
    NO_ROUTE = "no route"
    """The network knows no way to it, or no address for its name."""
    TIME_OUT = "time-out at log-in"
    """It took the connection, and no log-in or no first command came to an end."""
    KEY_CHANGED = "key changed"
    """Its host key is not the one that this room knows."""
    PASSWORD = "password"  # noqa: S105 (a word, not a secret)
    """It let nobody in: neither with a key nor with the password that was given."""
    SUDO = "sudo"
    """It is to work as another user, and sudo did not accept the password, or asked for one that was not given."""
    DISK = "disk"
    """There is no room for the suite and its results."""
    NO_PYTHON = "no Python"
    """It has no Python that can start a validation."""
    ARCHITECTURE = "other architecture"
    """Its processor is not one that its profile is for."""
    NOT_STARTED = "could not start"
    """Something else kept the validation from starting; what it said is beside the word."""
    DIED = "died on the way"
    """The host, or its validation, ended before there was a verdict."""
    UNPROVEN = "not proven by its record"
    """A run is here, and its record is missing, is damaged or contradicts it."""
    STOPPED = "stopped"
    """Somebody stopped it; the next call goes on."""
    UNDER_WAY = "under way"
    """It was left working (`--detach`); the next call looks again."""
