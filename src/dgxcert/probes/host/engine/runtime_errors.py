"""What engine, containerd and runtime say when a container does not start, apart from GPUs; and what to do about each.

The words are those of opencontainers/runc (libcontainer/init_linux.go, process_linux.go, standard_init_linux.go),
opencontainers/cgroups, containers/crun (src/libcrun), containerd/containerd and moby/moby (daemon, libnetwork).
"""

from dgxcert.container.engine_kind import SNAP
from dgxcert.machine.trait import Trait
from dgxcert.probes.host.engine.cause import Cause

MEMORY = "Check the memory that is free: free -h"
ROOM = "Look at the disk, its files and its mount: df -h $file; df -i $file; findmnt --target $file"
REBOOT = "Start the machine again: sudo reboot"
NO_SNAP = (
    "Use an engine from packages instead; stop this one first: sudo snap stop --disable docker",
    Trait.DGX_OS.only("Install it again from NVIDIA's repository, of which it is a part: sudo apt install docker-ce"),
    Trait.OTHER_OS.only("Install it, on Ubuntu and Debian: sudo apt install docker.io"),
)

IMAGE: tuple[Cause, ...] = (
    Cause(
        r"exec format error|qemu: uncaught target signal|qemu-\w+(?:-static)?: ",
        "the image has another architecture",
        ("Build it on this machine: make image", "Name an image of this architecture otherwise: IMAGE=NAME"),
    ),
    Cause(
        r"(?:image with reference .{0,200}|image).{0,40}does not (?:match|provide) the specified platform|"
        r"no matching manifest for (?P<platform>[\w/]+)",
        "the image does not exist for this machine's architecture",
        (
            "Build it on this machine: make image",
            "Compare: uname -m; docker image inspect IMAGE --format '{{.Architecture}}'",
        ),
    ),
    Cause(
        r"exec: \"?(?P<file>[\w./-]*(?:python3?|bash|sh|entrypoint[\w.]*))\"?:? (?:executable file not "
        r"found|stat [^\n]{0,80}no such|"
        r"no such file)",
        "the image has no $file: it is not the one that this suite built, or is damaged",
        ("Build it: make image", "Look at it: docker image inspect IMAGE"),
    ),
    Cause(
        r"invalid rootfs: no such file|layer does not exist|(?:content digest|blob) sha256:\w+: not found",
        "a part of the image is missing on the disk",
        ("Build it again: make image", "See where the engine keeps its data: docker info | grep -iE 'storage|root'"),
    ),
    Cause(
        r"no such image:? ?(?P<image>\S*)|unable to find image|pull access denied for",
        "the image is not there: $image",
        ("Build it: make image",),
        conclusive=False,
    ),
    Cause(
        r"exec \"?(?P<file>/[^\s:\"]+)\"?: operation not permitted",
        "a snap's engine starts no container with no-new-privileges, as this work and its image are run",
        NO_SNAP,  # https://bugs.launchpad.net/snapd/+bug/1908448
        kind=SNAP,
    ),
    Cause(
        r"GLIBC_(?P<version>[\d.]+)' not found",
        "a program of the engine was built for a newer system: it needs glibc $version",
        ("Install the engine from this system's own packages; compare: dpkg -l | grep -iE 'docker|containerd|runc'",),
    ),
)
"""The image and what runs in it."""

ROOM_AND_RIGHTS: tuple[Cause, ...] = (
    Cause(
        # torch's MapAllocator.cpp and its loader's message
        r"unable to (?:write to|open shared memory object|resize|mmap)[^\n]{0,20}<?(?P<file>/torch_\w+)[^\n]{0,120}"
        r"(?:no space left|error 28)|unexpected bus error[^\n]{0,80}\(shm\)|insufficient shared memory",
        "the container's shared memory, /dev/shm, is too small: Docker's own is 64 MB",
        (
            "Look how much it has: docker run --rm IMAGE df -h /dev/shm",
            "Start it with the machine's own, or more: docker run --ipc=host IMAGE; docker run --shm-size=8g IMAGE",
            'Or for every container: "default-shm-size": "8g" in $config; then: $restart',
        ),
    ),
    Cause(
        r"OSError: \[Errno 28\] No space left on device: ['\"](?P<file>/[^'\"]+)",
        "there is no room for $file inside the container",
        (
            "Read which of its places are memory, as /tmp and /dev/shm are: docker run --rm IMAGE df -h",
            "Check the memory and the disks of the machine: free -h; df -h",
        ),
    ),
    Cause(
        r"inotify.{0,120}(?:no space left on device|too many open files)|too many open files.{0,80}watcher",
        "the limit of watched files is used up, not the disk",
        ("Raise it: sudo sysctl -w fs.inotify.max_user_watches=1048576 fs.inotify.max_user_instances=1024",),
    ),
    Cause(
        r"(?:fork/exec /proc/self/exe|unshare|clone)[^\n]{0,60}no space left on device",
        "the kernel is set to allow no user namespaces",
        (
            "See the limit: cat /proc/sys/user/max_user_namespaces",
            "Raise it: sudo sysctl -w user.max_user_namespaces=65536",
        ),
    ),
    Cause(
        r"(?:cgroup[^\n]{0,200}|/sys/fs/cgroup/\S*:? ?)no space left on device",
        "the kernel has no more control groups, or no CPU is left for this one: not the disk is full",
        (
            "See how many there are: cat /proc/cgroups",
            "Look for CPUs that others have to themselves: cat /sys/fs/cgroup/cpuset.cpus.effective",
            "Free those that ended containers left behind: $restart; if that is not enough: sudo reboot",
        ),
    ),
    Cause(
        r"join session keyring:.{0,40}(?:disk quota exceeded|no space left)",
        "root's keys are used up: every running container holds one",
        ("Raise the limit: sudo sysctl -w kernel.keys.maxkeys=20000 kernel.keys.maxbytes=2000000",),
    ),
    Cause(
        r"(?P<file>/[^\s\"':,]+)\"?'?:? ?:? ?(?P<why>no space left on device|disk quota exceeded)",
        "the disk is full: $why at $file",
        (
            ROOM,
            "Remove images that nobody needs: docker image ls; docker image rm NAME",
        ),
    ),
    Cause(
        r"no space left on device|disk quota exceeded",
        "a disk that the engine writes to is full",
        ("Look at the disks: df -h; df -i", "See what the engine keeps: docker image ls"),
    ),
    Cause(
        r"mount source path '?(?P<file>/[^\s':]+)'?: mkdir \S+ read-only file system",
        "the engine does not see $file: a snap's engine sees little outside /home",
        ("Keep the data below your home folder, which it does see.", *NO_SNAP),
    ),
    Cause(
        r"(?P<file>/[^\s\"':,]+)\"?'?:? ?:? ?read-only file system",
        "$file is on a file system that is mounted read-only; after an error of the drive the kernel does that",
        (
            "See how it is mounted: findmnt --target $file",
            "Read why: sudo dmesg | grep -iE 'remount|i/o error|nvme' | tail",
        ),
    ),
    Cause(
        r"(?P<file>/[^\s\"':,]+)\"?'?:? ?:? ?input/output error",
        "the drive that holds $file reports errors",
        (
            "Read which: sudo dmesg | grep -iE 'i/o error|nvme|medium' | tail",
            "Save what matters, then check the drive: sudo nvme smart-log /dev/nvme0",
        ),
    ),
    Cause(
        r"is not shared from the host|mounts denied",
        "Docker Desktop runs in a virtual machine, which does not see the folder",
        ("Use this machine's own engine: docker context use default",),
        conclusive=False,
    ),
    Cause(
        r"are you trying to mount a directory onto a file|error mounting "
        r"\"?(?P<file>/[^\s\"]+)\"?[^\n]{0,300}not a directory",
        "of $file, one of machine and container has a folder where the other has a file",
        (
            "Look at it: ls -ld $file",
            "Move away a folder that an engine created there by mistake: sudo mv $file $file.old",
        ),
    ),
    Cause(
        r"open sysctl (?P<key>[\w.]+) file[^\n]{0,80}permission denied|error mounting "
        r"\"?/?(?:proc|sys)[^\n]{0,200}(?:operation not permitted|permission denied)|"
        r"error creating device nodes[^\n]{0,200}operation not permitted|unable to apply caps[^\n]{0,40}not permitted|"
        r"oom_score_adj: permission denied|devices\.allow: operation not permitted",
        "the engine itself runs inside a container (LXC or the like) that may not do this",
        (
            "Check what it runs in: systemd-detect-virt; docker info --format '{{.SecurityOptions}}'",
            "Run it on the machine itself, or allow nesting on the container's host.",
        ),
    ),
    Cause(
        r"Requested CPUs are not available - requested (?P<wanted>[\d,-]+), available: (?P<there>[\d,-]+)",
        "the container asks for CPUs ($wanted) of which the engine has only $there",
        ("Look for the setting: cat $config; docker inspect IMAGE",),
        conclusive=False,
    ),
    Cause(
        r"bind source path does not exist: (?P<file>/[^\s\"',]+)",
        "the container is to get $file, which does not exist on the machine",
        ("Look for it: ls -l $file", "Find what names it: grep -l $file /etc/cdi/* /var/run/cdi/*; cat $config"),
    ),
    Cause(
        r"error gathering device information while adding custom device \"?(?P<file>/[^\s\":]+)\"?",
        "the container is to get $file, which does not exist on the machine",
        ("Look for it: ls -l $file", "Check the driver: nvidia-smi"),
    ),
)
"""Disks, limits of the kernel, and files that are missing."""

LIMITS: tuple[Cause, ...] = (
    Cause(
        r"error setting rlimit[^\n]{0,60}?type (?P<type>\d+): (?P<why>operation not permitted|invalid argument)|"
        r"setrlimit `?(?P<limit>RLIMIT_\w+)`?: (?P<reason>operation not permitted|invalid argument)",
        "the container wants a higher limit (ulimit) than the engine itself has: it may not raise it",
        (
            "See the engine's own limits: sudo grep -iE 'locked|open files' /proc/$(pidof dockerd)/limits",
            "Raise them for its service, LimitMEMLOCK=infinity and LimitNOFILE=infinity: $edit",
            "Let the engine take them over: sudo systemctl daemon-reload; then: $restart",
            "Inside another container or virtual environment, its host must allow it.",
        ),
    ),
    Cause(
        r"container init was OOM-killed|memory limit too low|possibly OOM-killed|cannot allocate memory|"
        r"can't get final child's PID from pipe: EOF",
        "there was not enough memory to start the container, or its limit is too low",
        (MEMORY, "Read what the kernel ended: sudo dmesg | grep -i 'out of memory' | tail"),
    ),
    Cause(
        r"resource temporarily unavailable|pthread_create failed|can't start new thread",
        "a limit of processes is reached",
        (
            "See it: ulimit -u; cat /proc/sys/kernel/pid_max /proc/sys/kernel/threads-max",
            "Raise TasksMax for the engine: $edit",
        ),
    ),
    Cause(
        r"seccomp profile[^\n]{0,80}open (?P<file>/[^\s:]+): no such file",
        "a seccomp profile is set that does not exist: $file",
        ("Look at `seccomp-profile`: cat $config",),
    ),
    Cause(
        r"seccomp is not enabled in your kernel|seccomp not supported",
        "the kernel has no seccomp",
        ("Check it: grep -i seccomp /proc/self/status", "Install this system's own kernel, then: sudo reboot"),
    ),
    Cause(
        r"(?:error loading seccomp filter|unable to init seccomp|adding seccomp (?:filter )?rule|decoding "
        r"seccomp profile)",
        "the seccomp profile does not load: runc or libseccomp is too old for it, or it is damaged",
        (
            "Update the engine: docker version; dpkg -l | grep -iE 'runc|libseccomp'",
            "Look at `seccomp-profile`: cat $config",
        ),
    ),
    Cause(
        r"apparmor[^\n]{0,160}(?:no such file or directory|failed to apply profile|could not be loaded|not "
        r"supported)|"
        r"apparmor_parser[^\n]{0,60}not found",
        "the AppArmor profile of containers (docker-default) is not loaded",
        (
            "See what is loaded: sudo cat /sys/kernel/security/apparmor/profiles | head; dpkg -l | grep apparmor",
            "Load it again: sudo systemctl restart apparmor; then restart the engine: $restart",
        ),
    ),
    Cause(
        r"/proc/\S*attr/(?:keycreate|exec|sockcreate)[^\n]{0,80}invalid argument|SELinux|container_t",
        "SELinux does not know the label of containers",
        (
            "Install its rules, the package container-selinux, from the system's repository.",
            "Read what it denied: sudo dmesg | grep -i avc | tail",
        ),
    ),
)
"""Limits of processes and memory, seccomp, AppArmor and SELinux."""

CGROUPS: tuple[Cause, ...] = (
    Cause(
        r"systemd cgroup flag passed, but systemd support|unable to start unit[^\n]{0,600}?(?:no such file or "
        r"directory|"
        r"connection refused)|(?:dial unix|connect to) \S*(?:dbus|systemd/private)\S*[^\n]{0,60}(?:no such "
        r"file|refused)|"
        r"couldn't dial|(?:failed to connect to|sd-bus call).{0,10}\bd?bus\b[^\n]{0,80}",
        "the engine asks systemd for control groups, and systemd or its bus does not answer",
        (
            "Check both: systemctl is-system-running; systemctl status dbus",
            'Without systemd, set the other driver: "exec-opts": ["native.cgroupdriver=cgroupfs"] in $config; '
            "then: $restart",
        ),
    ),
    Cause(
        r"interactive authentication required|unable to start unit[^\n]{0,600}?access denied",
        "an engine without root may not create control groups by systemd",
        (
            "Use the system's engine: docker context ls; unset DOCKER_HOST",
            "Or give the user's session its bus: sudo apt install dbus-user-session",
        ),
    ),
    Cause(
        r"unable to start unit \"?(?P<unit>[\w@.-]+)\"?",
        "systemd did not create the container's control group, $unit",
        (
            "Read why: journalctl -b -u init.scope -u docker | tail -50",
            "Let systemd read its state again: sudo systemctl daemon-reexec",
        ),
    ),
    Cause(
        r"cgroup-?parent[^\n]{0,80}should be a valid slice|invalid slice name: ?(?P<slice>\S*)",
        "`cgroup-parent` in $config does not fit the cgroup driver systemd",
        (
            "Look at the line: grep -n cgroup $config",
            "Name a slice, such as docker.slice, or remove the line; then: $restart",
        ),
    ),
    Cause(
        r"cgroups?: (?:cgroup mountpoint does not exist|cannot find cgroup mount destination)|devices cgroup "
        r"isn't mounted|no cgroup mount "
        r"found|cgroup2?[^\n]{0,40}not mounted",
        "the engine is older than this machine's cgroup v2, or control groups are not mounted",
        (
            "See what is mounted: findmnt -t cgroup,cgroup2",
            "Update the engine to version 20.10 or newer: docker version",
        ),
    ),
    Cause(
        r"bpf_prog_query\(BPF_CGROUP_DEVICE\) failed: (?P<why>[\w ]+)|BPF_PROG_ATTACH[^\n]{0,60}: (?P<how>[\w "
        r"]+)|load program: (?P<what>[\w ]+)",
        "the kernel refuses the device rules of a container on cgroup v2",
        (
            "Check what the engine runs in: systemd-detect-virt; docker info --format '{{.SecurityOptions}}'",
            "Check the kernel's settings: cat /proc/sys/kernel/unprivileged_bpf_disabled "
            "/proc/sys/net/core/bpf_jit_harden",
        ),
    ),
    Cause(
        r"(?:unable to apply cgroup configuration|/sys/fs/cgroup/(?P<file>\S+?)\"?:|controller "
        r"\"?(?P<controller>\w+)\"? not available|"
        r"error setting cgroup config|cgroup[^\n]{0,80}(?:permission denied|not found|no such file or "
        r"directory))[^\n]{0,200}",
        "the container's control group could not be set up",
        (
            "See which controllers there are: cat /sys/fs/cgroup/cgroup.controllers; findmnt -t cgroup,cgroup2",
            "See the engine's driver and version: docker info | grep -i cgroup",
            "Restart it: $restart",
        ),
    ),
)
"""Control groups."""

NETWORK: tuple[Cause, ...] = (
    Cause(
        # moby/moby#49557: engines from 28 on; kernels of Jetson and of small systems are built without it.
        r"iptables[^\n]{0,40}table `?'?raw'?",
        "the kernel has no table `raw` of iptables, in which Docker 28 writes rules for published ports",
        (
            "Load its module if there is one: sudo modprobe iptable_raw && $restart",
            "Or let the engine do without, by Environment=DOCKER_INSECURE_NO_IPTABLES_RAW=1: $edit; then: $restart",
            "Compare the running kernel with its modules, which an update may have replaced: uname -r; ls /lib/modules",
        ),
    ),
    Cause(
        r"(?:iptables|ip6tables)[^\n]{0,300}(?:no chain/target/match by that name|chain '?\S+'? does not exist)",
        "the engine's rules in the firewall are gone: something loaded the firewall again after the engine had started",
        (
            "Let the engine write them again: $restart",
            "Start the firewall before the engine: systemctl status ufw firewalld nftables",
        ),
    ),
    Cause(
        r"(?:exec: \"?|locate )(?P<file>ip6?tables|nft)\"?:? (?:executable file )?not found|iptables not found",
        "the engine needs iptables, which is not installed",
        (
            Trait.OTHER_OS.only("Install it, on Ubuntu and Debian: sudo apt install iptables"),
            "Restart the engine: $restart",
        ),
    ),
    Cause(
        r"modprobe: FATAL: Module (?P<module>\S+) not found in directory (?P<file>\S+)|can't initialize iptables "
        r"table|"
        r"<=> sandbox[^\n]{0,80}operation not supported|\bveth\b[^\n]{0,60}operation not supported",
        "the running kernel's modules are not there: the kernel was updated, and the machine not started again",
        ("Compare: uname -r; ls /lib/modules", REBOOT),
    ),
    Cause(
        r"could not find bridge (?P<bridge>[\w-]+)|bridge (?P<other>[\w-]+)[^\n]{0,60}no such network interface",
        "the engine's bridge is gone: something removed the interface after the engine had started",
        ("Let the engine create it again: $restart", "Keep NetworkManager and the like off it: ip link show docker0"),
    ),
    Cause(
        r"(?:failed to set up container networking|failed to create endpoint|error (?:initializing network "
        r"controller|creating "
        r"default \"?bridge\"? network))[^\n]{0,400}(?:permission denied|operation not permitted)",
        "the engine may not set up networks: it has no root, or runs inside another container",
        ("Check what it runs in: systemd-detect-virt; docker info --format '{{.SecurityOptions}}'",),
    ),
    Cause(
        r"non-overlapping IPv4 address pool|all predefined address pools have been fully subnetted",
        "no address range is left for another network of the engine",
        ("See them: docker network ls; ip route", 'Set others: "default-address-pools" in $config; then: $restart'),
    ),
    Cause(
        r"port is already allocated|address already in use",
        "another program uses the port",
        ("See which: sudo ss -ltnp",),
        conclusive=False,
    ),
)
"""The engine's networks."""

ENGINE: tuple[Cause, ...] = (
    Cause(
        r"(?P<program>[\w./-]*(?:runc|crun|containerd|dockerd|podman|conmon)[\w.-]*): error while loading shared "
        r"libraries: (?P<file>[^\s:]+)",
        "a library that $program needs is missing: $file",
        (
            "See which package it belongs to: dpkg -S $file; ldconfig -p | grep $file",
            "Install the engine's packages again: dpkg -l | grep -iE 'docker|containerd|runc|podman'",
        ),
    ),
    Cause(
        r"error getting credentials[^\n]{0,40}exec: \"?(?P<file>docker-credential-[\w-]+)",
        "the user's Docker settings name $file for passwords, which is not installed",
        (
            "Look at the line `credsStore`: grep -n creds ~/.docker/config.json",
            "Move it away if nothing else is in it: mv ~/.docker/config.json ~/.docker/config.json.old",
        ),
        conclusive=False,
    ),
    Cause(
        r"permission denied while trying to connect to the docker",
        "this user may not use the engine",
        (
            "Join the group, then log in again: sudo usermod -aG docker $USER",
            "Members of that group have the rights of root: if that is not wanted, run with sudo.",
        ),
        conclusive=False,
    ),
    Cause(
        r"fork/exec (?P<file>/\S+) \(deleted\)",
        "the engine was updated while it ran",
        ("Start the new one: $restart",),
    ),
    Cause(
        r"(?:exec: \"?|fork/exec "
        r")(?P<file>[\w./-]*(?:runc|crun|containerd-shim[\w.-]*|docker-init|tini|catatonit))\"?:? "
        r"(?:executable file not found|.{0,40}no such file|permission denied)",
        "a program of the engine is missing or may not run: $file",
        (
            "Check its packages: dpkg -l | grep -iE 'docker|containerd|runc'",
            "Install it again where Docker's own packages are: sudo apt install --reinstall containerd.io",
            Trait.OTHER_OS.only("On Ubuntu and Debian: sudo apt install --reinstall docker.io runc containerd"),
        ),
    ),
    Cause(
        r"unable to retrieve OCI runtime error",
        "the runtime ended without a word: its program is missing, damaged or was killed",
        (
            "Try it: runc --version",
            "See which runtimes are set, and their paths: docker info --format '{{json .Runtimes}}'",
        ),
    ),
    Cause(
        r"containerd\.sock[^\n]{0,80}(?:connection refused|no such file|i/o timeout)|containerd[^\n]{0,40}(?:is "
        r"not running|"
        r"not responding)",
        "containerd, which starts containers for the engine, does not answer",
        (
            "Read its state: systemctl status containerd; journalctl -u containerd | tail -50",
            "Restart it: sudo systemctl restart containerd; then: $restart",
        ),
    ),
    Cause(
        r"(?:overlay(?:fs|2)?|fstype: overlay)[^\n]{0,400}(?:invalid argument|permission denied|no such "
        r"device|operation not "
        r"supported|too many levels|device or resource busy|not a directory|no such file)",
        "the engine could not mount the image's layers (overlay)",
        (
            "Read what the kernel said: sudo dmesg | grep -i overlay | tail",
            "See the driver and the file system below it: docker info | grep -iE 'storage|backing|root'; findmnt "
            "--target /var/lib/docker",
            "Load the module: sudo modprobe overlay; then: $restart",
        ),
    ),
    Cause(
        r"(?:cannot share the host'?s? (?:network|pid|ipc)?[^\n]{0,40}|privileged mode is incompatible with "
        r"|incompatible with )"
        r"[^\n]{0,20}user namespaces|mapped? (?:uid|gid) \d+ in user namespace|userns-remap",
        "the engine maps users (`userns-remap`), which a container with the host's IPC or PID namespace cannot have",
        ("Look at the line: grep -n userns $config", "Remove it for this work, then: $restart"),
    ),
    Cause(
        r"newuidmap\"?:? should have setuid|newgidmap\"?:? should have setuid|"
        r"no subuid ranges found|no subgid ranges found|(?:uid|gid)_map:? [^\n]{0,60}operation not permitted",
        "the user of an engine without root has no range of user ids, or newuidmap may not give it away",
        (
            "See the ranges, and the rights of the program: cat /etc/subuid /etc/subgid; ls -l /usr/bin/newuidmap",
            Trait.OTHER_OS.only("Install it again, on Ubuntu and Debian: sudo apt install --reinstall uidmap"),
            "Use the system's engine: docker context ls; unset DOCKER_HOST",
        ),
    ),
    Cause(
        r"ttrpc: (?:closed|client shutting down)|transport is closing|context (?:deadline exceeded|canceled)|i/o "
        r"timeout|"
        r"grpc: the client connection is closing",
        "the engine or containerd was too slow, or stopped while it started the container",
        ("Check that it runs: $status", "Try again when the machine is less busy; if it happens again: $restart"),
        conclusive=False,
    ),
    Cause(
        r"daemon is shutting down|is marked for removal",
        "the engine was being stopped",
        ("Wait, then try again: docker version",),
        conclusive=False,
    ),
)
"""The engine's own parts."""

CAUSES = (*IMAGE, *ROOM_AND_RIGHTS, *LIMITS, *CGROUPS, *NETWORK, *ENGINE)
