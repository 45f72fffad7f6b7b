"""What an engine says in its log when it does not start, and what to do about each.

The words are those of moby/moby (daemon/config, daemon/command, cmd/dockerd), tried with an engine of release 20.10.
"""

from dgxcert.machine.trait import Trait
from dgxcert.probes.host.engine import runtime_errors
from dgxcert.probes.host.engine.cause import Cause

LOOK = "Look at the file: cat $file"
VALIDATE = "Check it before the next start: sudo dockerd --validate --config-file=$file"
START = "Start the engine: $start"
OF_FILE = r"unable to configure the Docker daemon with file (?P<file>[^\s:]+): "

OF_THE_DAEMON: tuple[Cause, ...] = (
    Cause(
        OF_FILE + r"the following directives don't match any configuration option: (?P<key>[\w., -]+)",
        "$file has keys that the engine does not know: $key",
        (LOOK, "Remove or correct them; a newer engine may know them: dockerd --version", VALIDATE, START),
    ),
    Cause(
        OF_FILE
        + r"the following directives are specified both as a flag and in the configuration file: (?P<key>[\w-]+)",
        "`$key` is set twice: in $file, and as an option in the unit that starts the engine",
        (
            "See the unit's options: $show",
            "Remove `$key` from $file, or from the unit's line ExecStart: $edit",
            VALIDATE,
            START,
        ),
    ),
    Cause(
        OF_FILE + r"(?:[\w ]{0,60}: )?specified default runtime '(?P<runtime>[^']+)' does not exist",
        "$file names the default runtime `$runtime` and does not define it",
        ("Define it: $configure", "Or remove `default-runtime`: cat $file", VALIDATE, START),
    ),
    Cause(
        OF_FILE + r"(?P<why>(?:invalid character|unexpected EOF|EOF|json:)[^\n\"]*)",
        "$file is no valid JSON for the engine: $why",
        (
            "See the place, such as a comma after the last entry: python3 -m json.tool $file",
            VALIDATE,
            START,
        ),
    ),
    Cause(
        OF_FILE + r"(?P<why>[^\n]{3,200})",
        "the engine does not accept its settings in $file: $why",
        (LOOK, VALIDATE, START),
    ),
    Cause(
        r"specified default runtime '?(?P<runtime>[\w./-]+)'? does not exist",
        "the default runtime `$runtime` is not defined in $config",
        ("Define it: $configure", "Or remove `default-runtime`: cat $config", START),
    ),
    Cause(
        r"unknown (?:shorthand )?flag: (?P<flag>\S+)",
        "the unit starts the engine with an option that it does not know: $flag",
        ("See the unit's options: $show", "Correct them: $edit", START),
    ),
    Cause(
        r"failed to start daemon: (?P<why>native\.cgroupdriver option [^\n\"]*)",
        "`exec-opts` in $config names no cgroup driver: $why",
        ('Write "native.cgroupdriver=systemd" there, or remove the line: cat $config', START),
    ),
    Cause(
        r"ensure docker is not running or delete (?P<file>/[^\s\":]+)|process with PID (?P<pid>\d+) is still running",
        "another engine runs already, or one that was killed left its file behind: $file",
        ("Look for it: ps -C dockerd", "Without one, move the file away: sudo mv $file $file.old", START),
    ),
    Cause(
        r"(?:error initializing graphdriver|prior storage driver (?P<driver>[\w]+) failed|driver not supported|"
        r"graphdriver plugins are only supported)[^\n]{0,200}",
        "the engine cannot use the storage driver that it is set to, or that its data was written with",
        (
            "See the setting and the kernel: cat $config; grep overlay /proc/filesystems; findmnt --target "
            "/var/lib/docker",
            "Load the module: sudo modprobe overlay",
            START,
        ),
    ),
    Cause(
        r"no sockets found via socket activation",
        "the engine expects its socket from systemd, and was started without it",
        ("Start socket and engine: sudo systemctl enable --now docker.socket; then: $start",),
    ),
    Cause(
        r"can't create unix socket (?P<file>[^\s:]+): (?P<why>[^\n\"]+)|listen unix (?P<other>[^\s:]+): bind: "
        r"(?P<how>[^\n\"]+)",
        "the engine cannot create its socket $file",
        ("Look at what is there: ls -ld $file", "Move a folder of that name away: sudo mv $file $file.old", START),
    ),
    Cause(
        r"(?:failed to start containerd|timeout waiting for containerd to start|containerd did not start|"
        r"failed to dial \"?\S*containerd\.sock)",
        "containerd, which the engine needs, does not start",
        (
            "Read why: systemctl status containerd; journalctl -u containerd | tail -50",
            "Start it: sudo systemctl restart containerd; then: $start",
        ),
    ),
    Cause(
        r"(?:error (?:initializing|creating default).{0,40}network[^\n]{0,300}|failed to create NAT "
        r"chain[^\n]{0,200}|"
        r"failed to register \"?bridge\"? driver[^\n]{0,200})",
        "the engine cannot set up its network and the rules of the firewall",
        (
            "See whether iptables works: sudo iptables -t nat -L -n",
            "Load its modules, which fails where the kernel was updated without a restart: sudo modprobe "
            "ip_tables; uname -r",
            Trait.OTHER_OS.only("Try the older form of iptables: sudo update-alternatives --config iptables"),
            START,
        ),
    ),
    Cause(
        r"(?:unable|getent unable) to find entry \"?(?P<user>\w+)\"?|no subuid ranges found for user "
        r"\"?(?P<other>\w+)",
        "`userns-remap` in $config names a user without an account or without user ids: $user",
        ("Look at it: grep -n userns $config; cat /etc/subuid", "Remove the line, or create the user; then: $start"),
    ),
    Cause(
        r"overlay2: the backing (?P<fs>\w+) filesystem is formatted without d_type|without d_type support",
        "the file system of the engine's data lacks d_type, which overlay needs",
        (
            "See it: docker info | grep d_type; findmnt --target /var/lib/docker",
            'Keep the data elsewhere: "data-root" in $config; then: $start',
        ),
    ),
    Cause(
        r"mutually exclusive options[^\n]*",
        "settings of the engine exclude each other",
        ("Look at both places: cat $config; $show", START),
    ),
)
"""The engine's own start."""

CAUSES = (*OF_THE_DAEMON, *runtime_errors.ROOM_AND_RIGHTS, *runtime_errors.CGROUPS, *runtime_errors.NETWORK)
