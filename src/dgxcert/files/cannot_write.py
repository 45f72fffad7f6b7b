"""A file that cannot be written: what keeps it from that, in words, and what to do about it. One table of errno(3)."""

import errno
from pathlib import Path
from typing import NamedTuple

from dgxcert.outcome import CannotStart


class Cause(NamedTuple):
    """What an error number means for the place that was written to."""

    name: str
    """Of what stopped the writing: "a full disk"."""
    remedy: str
    """A step that can be typed; `{folder}` is where it failed."""


CAUSES = {
    errno.ENOSPC: Cause("a full disk", "Free some space: df -h {folder}; df -i {folder}"),
    errno.EDQUOT: Cause("a full disk quota", "Free some space, or ask for a larger quota: df -h {folder}"),
    errno.EROFS: Cause("a read-only file system", "See why it is read-only: findmnt -T {folder}; sudo dmesg | tail"),
    errno.EIO: Cause("an I/O error of the disk", "Look for the disk's errors: sudo dmesg | tail -50"),
    errno.EFBIG: Cause("a limit on the size of files", "Raise the limit, which `ulimit -f` shows."),
    errno.EMFILE: Cause("a limit on open files", "Raise the limit: ulimit -n 4096"),
    errno.ENFILE: Cause("the system's limit on open files", "See which programs keep many files open: lsof"),
    errno.ENOENT: Cause("a folder that was moved or removed", "Look whether it was moved: ls -ld {folder}"),
    errno.ENOTDIR: Cause("a folder that was replaced", "Look what is there: ls -ld {folder}"),
    errno.ELOOP: Cause("a folder that was replaced by a link", "Look what is there: ls -ld {folder}"),
    errno.EACCES: Cause("missing permission", "Make it writable: ls -ld {folder}"),
    errno.EPERM: Cause("missing permission", "Make it writable: ls -ld {folder}"),
    errno.ESTALE: Cause("a network file system that lost the folder", "Mount it again: findmnt -T {folder}"),
}
UNKNOWN = Cause("an error of the disk", "Look for the disk's errors: sudo dmesg | tail -50")


class CannotWrite(CannotStart):
    """A file could not be written; what was there before is unchanged.

    >>> raise CannotWrite(Path("results/a/run.json"), OSError(errno.ENOSPC, "No space left on device"))
    Traceback (most recent call last):
    dgxcert.files.cannot_write.CannotWrite: results/a/run.json cannot be written: No space left on device. Free some \
space: df -h results/a; df -i results/a
    """

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        self.reason = error.strerror or str(error)
        """In the kernel's words: "No space left on device"."""
        cause = CAUSES.get(error.errno or 0, UNKNOWN)
        self.cause = cause.name
        """What stopped the writing: "a full disk"."""
        self.step = cause.remedy.format(folder=path.parent)
        super().__init__(f"{path} cannot be written: {self.reason}.", self.step)
