"""What to do about a folder that a client cannot use: with its own path, and with a folder that was tried instead."""

import shlex

from dgxcert.probes.hub.cache.trouble import Trouble

BELOW = {"HF_HUB_CACHE": "hub", "HF_XET_CACHE": "xet", "HF_DATASETS_CACHE": "datasets"}
"""The name of each place below a folder that is offered instead, as in the client's home."""
SHOWN = 4


def remedy_of(troubles: tuple[Trouble, ...]) -> tuple[str, ...]:
    """The steps for troubles with one cause: look, use another folder, mend this one."""
    if not troubles:
        return ()
    first = troubles[0]
    paths = " ".join(shlex.quote(each.path) for each in troubles[:SHOWN] if each.path)
    look, mend = _remedies(first, paths)
    return (*look, *_remedy_elsewhere(troubles), *mend)


def _remedy_elsewhere(troubles: tuple[Trouble, ...]) -> tuple[str, ...]:
    """Use another folder. Models that are only in the old one are downloaded again."""
    if troubles[0].kind in ("lock-held", "late"):
        return ()
    moved = dict.fromkeys(each.variable for each in troubles if each.variable in BELOW)
    legacy = dict.fromkeys(each.variable for each in troubles if each.variable and each.variable not in BELOW)
    steps = [f"Let transformers use the Hub cache: unset {' '.join(legacy)}"] if legacy else []
    if moved and (folder := troubles[0].elsewhere):
        values = " ".join(f"{name}={shlex.quote(f'{folder}/{BELOW[name]}')}" for name in moved)
        steps.append(f"Use a folder in which you can write: export {values}")
    elif moved:
        values = " ".join(f"{name}=/PATH/{BELOW[name]}" for name in moved)
        steps.append(f"Use a folder in which you can write, on a disk with free space: export {values}")
    return tuple(steps)


def _remedies(trouble: Trouble, paths: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to look at first, and what to mend after another folder was offered."""
    one = shlex.quote(trouble.path)
    match trouble.kind:
        case "permission":
            return (f"Look at the owner: ls -ld {paths}",), (
                f'If only you use it, take it over: sudo chown "$(id -u):$(id -g)" {paths}; sudo chmod u+rwX {paths}',
                f"If several users share it, let their group write: sudo chgrp GROUP {paths}; sudo chmod g+rwX {paths}",
            )
        case "immutable":
            return (f"Look at its attributes: lsattr -d {one}",), (f"Remove them: sudo chattr -i -a {one}",)
        case "read-only":
            look = (
                f"Look at the mount: findmnt -T {one}; and whether an error made it read-only: sudo dmesg | tail -50",
            )
            mend = "If it is not meant to be, and the log shows no error: sudo mount -o remount,rw MOUNT"
            return look, (mend,)
        case "no-inode":
            look = (f"See what has taken all inodes: df -i {one}; du --inodes -x -d 2 {one}",)
            return look, (
                "Remove small files that nobody needs; a copy of a data set as many files is the usual cause.",
            )
        case "quota":
            return ("Look at your quota: quota -s",), (f"Remove files of yours that you do not need: du -sh {one}",)
        case "full":
            return (f"See how full it is: df -h {one}; du -sh {one}",), ()
        case "dangling" | "not-a-folder" | "loop":
            return (f"Look at it: ls -ld {one}",), (f"Or move it away: mv {one} {shlex.quote(trouble.path + '.old')}",)
        case "no-locks":
            return (f"Look at the mount: findmnt -T {one}",), (
                "Or have it mounted with locks: flock for Lustre; for NFS rpc.statd, or local_lock=flock.",
            )
        case "lock-held":
            look = ("Look at the process that holds it: cat /proc/locks; ps -e -o pid,user,stat,etime,args",)
            return look, ("If it hangs, end it by its number: kill PID",)
    return (f"Look at the mount: findmnt -T {one}",) if trouble.path else ("Look at the mounts: findmnt",), ()
