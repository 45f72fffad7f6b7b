"""Trouble: what keeps a client from working in a folder, told apart by the kernel's error number."""

import array
import contextlib
import errno
import fcntl
import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

CAUSES = {
    "permission": "cache-locked",
    "immutable": "cache-locked",
    "read-only": "cache-read-only",
    "full": "cache-full",
    "no-inode": "cache-full",
    "quota": "cache-full",
    "not-a-folder": "cache-broken",
    "dangling": "cache-broken",
    "loop": "cache-broken",
    "too-long": "cache-broken",
    "lost": "cache-broken",
    "no-locks": "cache-no-locks",
    "lock-held": "cache-lock-held",
    "late": "cache-late",
    "noexec": "cache-noexec",
}
"""The key in causes.CAUSES of each kind of trouble."""

KIND_OF_ERROR = {
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.EROFS: "read-only",
    errno.ENOSPC: "full",
    errno.EDQUOT: "quota",
    errno.ENOTDIR: "not-a-folder",
    errno.EEXIST: "not-a-folder",
    errno.ELOOP: "loop",
    errno.ENAMETOOLONG: "too-long",
}
"""errno(3); any other, such as ESTALE of NFS, ENOTCONN of FUSE and EIO, is a file system that is lost."""

FS_IOC_GETFLAGS = 0x80086601
IMMUTABLE, APPEND_ONLY = 0x10, 0x20
"""linux/fs.h: FS_IMMUTABLE_FL and FS_APPEND_FL, which `chattr +i` and `chattr +a` set."""


@dataclass(frozen=True)
class Trouble:
    """One folder or file that a client cannot use; `kind` is a key of CAUSES."""

    kind: str
    path: str
    place: str
    variable: str
    """The variable that moves the place."""
    detail: str
    needed: bool = True
    elsewhere: str = ""
    """A folder in which this user can work instead; empty where none was found."""

    @property
    def cause(self) -> str:
        """The key of its cause."""
        return CAUSES[self.kind]


def kind_of(error: OSError, folder: Path) -> str:
    """The kind of trouble that an error in a folder is.

    >>> kind_of(OSError(errno.EDQUOT, "Disk quota exceeded"), Path("/"))
    'quota'
    """
    kind = KIND_OF_ERROR.get(error.errno or 0, "lost")
    if kind == "permission" and flags_of(folder) & (IMMUTABLE | APPEND_ONLY):
        return "immutable"
    if kind == "full" and no_inode_left(folder):
        return "no-inode"
    return kind


def flags_of(folder: Path) -> int:
    """The attributes that `lsattr` shows; 0 where the file system has none."""
    flags = array.array("l", [0])
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
        try:
            fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, flags)
        finally:
            os.close(descriptor)
    return flags[0]


def no_inode_left(folder: Path) -> bool:
    """Whether the file system counts inodes and has none left; btrfs and ZFS, which do not, report 0 of 0."""
    with contextlib.suppress(OSError):
        status = os.statvfs(folder)
        return status.f_files > 0 and status.f_favail == 0
    return False


def described(path: Path, error: OSError) -> str:
    """What an error at a path says, with owner and mode where those are the reason.

    >>> described(Path("/"), OSError(errno.EROFS, "Read-only file system"))
    '/: Read-only file system'
    """
    reason = (error.strerror or str(error)).rstrip(".")
    if error.errno == errno.ENOSPC and no_inode_left(path):
        return f"{path}: {reason}: no inode is left"
    if error.errno not in (errno.EACCES, errno.EPERM):
        return f"{path}: {reason}"
    with contextlib.suppress(OSError):
        status = path.stat()
        if (flags := flags_of(path)) & (IMMUTABLE | APPEND_ONLY):
            return f"{path} is {'immutable' if flags & IMMUTABLE else 'append-only'} (chattr)"
        mode = stat.S_IMODE(status.st_mode)
        owner = f"{user(status.st_uid)}:{group(status.st_gid)}"
        return f"{path} belongs to {owner} with mode {mode:04o}, and this is {user(os.geteuid())}: {reason}"
    return f"{path}: {reason}"


def user(uid: int) -> str:
    """A user's name and number; a number alone has no account here, as in a container.

    >>> user(0)
    'root (uid 0)'
    """
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def group(gid: int) -> str:
    """A group's name, or its number where it has none here."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"
