"""What engine and runtime say when a CDI specification is missing, stale or damaged, and what to do about each.

The words are those of cncf-tags/container-device-interface (pkg/cdi), moby/moby
(daemon/cdi.go, daemon/devices.go), and of runc and crun about a file that a specification mounts and that is gone
(NVIDIA/nvidia-container-toolkit#450, NVIDIA/nvidia-container-toolkit#692, NVIDIA/nvidia-container-toolkit#885).
"""

from dgxcert.probes.host.engine.cause import Cause

DRIVER = "Check the driver on the machine itself: nvidia-smi"
GENERATE = "Generate it again: sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml"
REFRESH = "Let it follow every update: sudo systemctl enable --now nvidia-cdi-refresh.path nvidia-cdi-refresh.service"
LIST = "List the specifications and their devices: ls -l /etc/cdi /var/run/cdi; nvidia-ctk cdi list"
ONE_FILE = (
    "Keep one file if two name nvidia.com/gpu, by renaming the older one: "
    "grep -l nvidia.com/gpu /etc/cdi/* /var/run/cdi/*"
)
UPDATE_TOOLKIT = "Update the toolkit: sudo apt install --only-upgrade nvidia-container-toolkit"

CAUSES: tuple[Cause, ...] = (
    Cause(
        r"failed to stat CDI host device \"?(?P<file>/dev/nvidia-caps-imex-channels/[^\s\":]+)\"?",
        "the container asks for an IMEX channel, and the driver has made none: $file",
        (
            "Ask for none where one machine works alone: env | grep IMEX; docker inspect IMAGE | grep IMEX",
            "Where several share memory over NVLink, let the driver make the channel, by NVreg_CreateImexChannel0=1: "
            "modprobe -c | grep -i imex",
        ),
        conclusive=False,
    ),
    Cause(
        r"conflicting device \"?(?P<device>[^\s\"]+)\"? \(specs \"?(?P<first>[^\s\",]+)\"?, "
        r"\"?(?P<second>[^\s\",)]+)\"?\)",
        "two CDI specifications name $device: $first and $second",
        (
            "See which of them is older: ls -l $first $second",
            "Rename the older one, so that it is no specification any more: sudo mv $first $first.old",
            LIST,
        ),
    ),
    Cause(
        r"failed to stat CDI host device \"?(?P<file>/[^\s\":]+)\"?: permission denied",
        "the engine may not see $file, which the CDI specification names",
        (
            "Look at its rights: ls -l $file",
            "Use the system's engine instead of one without root: docker context ls; unset DOCKER_HOST",
        ),
    ),
    Cause(
        r"failed to stat CDI host device \"?(?P<file>/dev/(?:nvidiactl|nvidia-(?:uvm|modeset)[\w-]*))\"?",
        "the device node $file, which the CDI specification names, does not exist: its kernel module is not loaded",
        (
            "Create it: sudo nvidia-ctk system create-device-nodes --control-devices --load-kernel-modules",
            DRIVER,
            GENERATE,
        ),
    ),
    Cause(
        r"failed to stat CDI host device \"?(?P<file>/[^\s\":]+)\"?",
        "a CDI specification is older than this machine's devices: it names $file, which does not exist",
        (
            "Compare the GPUs with what the driver sees: nvidia-smi -L; ls -l /dev/nvidia* /dev/dri",
            "Find the specification that names it: grep -l $file /etc/cdi/* /var/run/cdi/*",
            GENERATE,
            ONE_FILE,
            REFRESH,
        ),
    ),
    Cause(
        r"CDI device \(\"?(?P<file>/[^\s\",]+)\"?, .{0,200}?host type mismatch",
        "$file is of another type than the CDI specification says",
        ("Look at it: ls -l $file", GENERATE),
    ),
    Cause(
        r"(?P<file>/[^\s\"'`]*nvidia-persistenced/socket)\b.{0,300}?no such file",
        "the CDI specification names $file, and nvidia-persistenced is not running",
        (
            "Start it: sudo systemctl start nvidia-persistenced",
            "Or generate the specification without it: sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml",
        ),
    ),
    Cause(
        r"[\"'`\s:(](?P<file>/[^\s\"'`]*(?:nvidia|libcuda|libnv|libGLX|libEGL|"
        r"gsp_)[^\s\"'`]*?[./-](?P<version>\d{3}\.\d+(?:\.\d+)?)"
        r"(?:/[^\s\"'`:]*)?)(?=[\"'`\s:,)]).{0,300}?no such file",
        "a CDI specification was made for driver $version, and $file does not exist any more",
        (
            "Compare with the driver that is loaded: cat /proc/driver/nvidia/version",
            "Find the specification that names it: grep -l $version /etc/cdi/* /var/run/cdi/*",
            GENERATE,
            ONE_FILE,
            REFRESH,
        ),
    ),
    Cause(
        r"(?:error mounting|cannot stat|stat'ing file|bind source path does not exist:?|statfs|mount source "
        r"path) ?[\"'`]?"
        r"(?P<file>/[^\s\"'`]*(?:nvidia|libcuda|libnv|vulkan|glvnd|egl)[^\s\"'`:]*)[\"'`]?.{0,300}?no such file",
        "a CDI specification names $file, which does not exist: it is older than the installed driver",
        (
            "Find the specification that names it: grep -l $file /etc/cdi/* /var/run/cdi/*",
            GENERATE,
            ONE_FILE,
            REFRESH,
        ),
    ),
    Cause(
        r"requesting a CDI device with vendor 'runtime\.nvidia\.com' is not supported when",
        "the container asks for GPUs in two ways at once: by the runtime and by CDI",
        ("Use one of them: remove NVIDIA_VISIBLE_DEVICES from the image's or the user's settings, or the CDI device.",),
        conclusive=False,
    ),
    Cause(
        r"unresolvable CDI devices (?P<devices>[\w.-]+/[\w.-]+=[^\s\",:]+(?:, ?[\w.-]+/[\w.-]+=[^\s\",:]+)*)",
        "no valid CDI specification defines $devices: it is missing, stale, named twice, or newer than the "
        "engine understands",
        (LIST, ONE_FILE, GENERATE, "Let the engine read it: $restart", UPDATE_TOOLKIT),
    ),
    Cause(
        r"unresolvable CDI devices",
        "the CDI specification of the GPUs is missing or stale",
        (LIST, ONE_FILE, GENERATE),
    ),
    Cause(
        r"failed to discover gpu vendor from cdi",  # moby/moby, daemon/devices.go, from release 29 on
        "the engine found no CDI specification of NVIDIA GPUs",
        (LIST, GENERATE, "Let the engine read it: $restart"),
    ),
    Cause(
        r"(?:failed to (?:load|parse|read|unmarshal) CDI Spec|invalid CDI Spec|CDI Spec validation failed)"
        r"(?: \"?(?P<file>/[^\s\":,]+)\"?)?[^\0]{0,200}",
        "a CDI specification cannot be read ($file): it is damaged, or of a version that this engine does not know",
        (
            LIST,
            GENERATE,
            "Update the engine if it is older than the toolkit: docker version; nvidia-ctk --version",
        ),
    ),
    Cause(
        r"(?:unsupported|unknown|invalid) (?:CDI )?spec(?:ification)? version:? \"?v?(?P<version>[\d.]+)|"
        r"spec version must be at least v?(?P<least>[\d.]+)",
        "the engine does not know the version of the CDI specification",
        (
            "See the version of each file: grep -H cdiVersion /etc/cdi/* /var/run/cdi/*",
            "Update the engine, or use an older toolkit: docker version; nvidia-ctk --version",
            GENERATE,
        ),
    ),
    Cause(
        r"(?:unqualified|invalid) device \"?(?P<device>[^\s\",]+)\"?(?:, missing (?:vendor|class|device name)|: )",
        "$device is no full name of a CDI device",
        ("Use a name from this list: nvidia-ctk cdi list",),
        conclusive=False,
    ),
)
"""CDI: a specification in /etc/cdi or /var/run/cdi says what a container gets."""
