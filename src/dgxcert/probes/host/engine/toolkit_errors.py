"""What the NVIDIA Container Toolkit says when a container gets no GPU, and what to do about each.

The words are those of NVIDIA/nvidia-container-toolkit (cmd/nvidia-container-runtime-hook/hook_config.go,
internal/modifier, internal/oci), NVIDIA/libnvidia-container (src/cli/configure.c: `initialization error`, `container
error`, `detection error`, `device error`, `requirement error`, `mount error`, `ldcache error`; src/error.c;
src/cli/dsl.c) and moby/moby (daemon/devices_nvidia_linux.go).
"""

from dgxcert.probes.host.engine.cause import Cause
from dgxcert.probes.host.engine.cdi_errors import GENERATE

DRIVER = "Check the driver on the machine itself: nvidia-smi"
INSTALL_TOOLKIT = "Install it: sudo apt install nvidia-container-toolkit"
UPDATE_TOOLKIT = "Update the toolkit: sudo apt install --only-upgrade nvidia-container-toolkit"
MORE = (
    "Ask the toolkit's library itself: sudo nvidia-container-cli --load-kmods --debug=/dev/stderr info",
    "Write down what it does: sudo nvidia-ctk config --in-place --set nvidia-container-cli.debug=/tmp/toolkit.log; "
    "then start the container again",
)
LOST = (
    "Start a new container; that alone may be enough.",
    'Prevent it: use CDI, or the engine\'s cgroup driver cgroupfs: "exec-opts": ["native.cgroupdriver=cgroupfs"] '
    "in $config",
)

MODE = r"(?:requested|auto-detected) mode (?:as )?'?(?P<mode>[\w-]+)'?"

REINSTALL = (
    "Install its programs and its library again, all of one version: sudo apt install --reinstall libnvidia-container1 "
    "libnvidia-container-tools nvidia-container-toolkit-base nvidia-container-toolkit"
)
TOOL = r"(?P<program>[\w./-]*nvidia-(?:container-\w[\w-]*|ctk|cdi-hook)(?:\.real)?)"

PROGRAMS: tuple[Cause, ...] = (
    Cause(
        # NVIDIA/gpu-rest-engine#35
        rf"{TOOL}: error while loading shared libraries: (?P<file>[^\s:]+)",
        "a library that $program needs is missing: $file",
        ("See what it lacks: ldd $(command -v nvidia-container-cli) | grep 'not found'", REINSTALL, "sudo ldconfig"),
    ),
    Cause(
        rf"{TOOL}: symbol lookup error|{TOOL.replace('program', 'other')}: [^\n]{{0,80}}version "
        r"`(?P<version>NVC_[\w.]+)' not found",
        "$program and the toolkit's library are of different versions",
        ("Compare them: dpkg -l | grep nvidia-container", REINSTALL),
    ),
    Cause(
        rf"{TOOL}: [^\n]{{0,80}}version `GLIBC_(?P<version>[\d.]+)' not found",
        "the toolkit's packages are those of a newer system: $program needs glibc $version",
        (
            "Look where they come from: apt-cache policy nvidia-container-toolkit",
            "Use NVIDIA's repository of packages for every system, stable/deb: "
            "cat /etc/apt/sources.list.d/nvidia-container-toolkit.list",
            REINSTALL,
        ),
    ),
    Cause(
        r"requested mode '?(?P<mode>[\w-]+)'?[^\0]{0,400}?invoking the NVIDIA Container Runtime Hook directly",
        "the toolkit is set to mode `$mode` in $toolkit_config, in which it refuses the way that --gpus takes",
        (
            "Let the toolkit choose its mode: sudo nvidia-ctk config --in-place --set "
            "nvidia-container-runtime.mode=auto",
            'Check that the file then says mode = "auto": grep -n mode $toolkit_config',
            "Or keep the mode and start containers by the toolkit's runtime: docker run --rm --runtime=nvidia "
            "--gpus all "
            "ubuntu nvidia-smi",
            "Or let the engine use CDI, which needs a specification: nvidia-ctk cdi list",
        ),
    ),
    Cause(
        rf"(?:{MODE}[^\0]{{0,400}}?)?invoking the NVIDIA Container Runtime Hook directly",
        "the toolkit refuses the way that --gpus takes: on this machine it works by another mode than `legacy`",
        (
            'Look at the mode; "auto" becomes another one on a Jetson and for CDI names: grep -n mode $toolkit_config',
            "Start containers by the toolkit's runtime: docker run --rm --runtime=nvidia --gpus all ubuntu nvidia-smi",
            "Register that runtime if it is unknown: $configure",
            "Or set the mode that --gpus needs: sudo nvidia-ctk config --in-place --set "
            "nvidia-container-runtime.mode=legacy",
        ),
    ),
    Cause(
        r"mount error: (?:[\w ]{0,40}failed: )?(?P<file>/(?![^\s:]*cgroup)[^\s:]+): no such file",
        "the toolkit does not find $file, one of the driver's files on the machine or of the image's own",
        (
            "Check the driver, of which an update may have removed it: nvidia-smi; ls -l $file",
            "Rebuild the list of libraries: sudo ldconfig; then start the machine again: sudo reboot",
            "Try an image that brings no libraries of the driver: docker run --rm --gpus all ubuntu nvidia-smi",
        ),
    ),
    Cause(
        r"could not select device driver \"cdi\"",
        "the engine's CDI support is switched off",
        (
            'Switch it on: "features": {"cdi": true} in $config; then restart it: $restart',
            "Or register the toolkit's runtime: $configure",
        ),
    ),
    Cause(
        r"could not select device driver \"?(?P<driver>[\w.-]*)\"? ?with capabilities",
        "the engine has no NVIDIA Container Toolkit, or was started before it was installed",
        (
            "Check whether it is installed: nvidia-ctk --version",
            INSTALL_TOOLKIT,
            "Configure it: $configure",
        ),
    ),
    Cause(
        r"could not select device driver",
        "the engine has no NVIDIA Container Toolkit, or it is not configured",
        ("Check whether it is installed: nvidia-ctk --version", INSTALL_TOOLKIT, "Configure it: $configure"),
    ),
    Cause(
        r"(?:unknown or invalid runtime name|unknown runtime specified):? ?[\"']?nvidia\b",
        "the runtime `nvidia` is not registered with the engine",
        ("Register it: $configure", "Check the list: docker info --format '{{json .Runtimes}}'"),
    ),
    Cause(
        r"unknown or invalid runtime name:? ?\"?(?P<runtime>[\w./-]+)|unknown runtime specified (?P<other>[\w./-]+)",
        "a runtime is asked for that is not registered with the engine: $runtime",
        (
            "Compare with those that it knows: docker info --format '{{json .Runtimes}}'",
            "Look at its settings: cat $config",
        ),
    ),
    Cause(
        r"(?:exec: \"?|fork/exec |stat |exec )(?P<file>[\w./-]*nvidia-(?:container-runtime-hook|container-toolkit|"
        r"container-runtime|container-cli|cdi-hook|ctk)[\w.]*)\"?:? (?:executable file not found|.{0,40}no such "
        r"file)",
        "the engine calls $file, which is not installed: the toolkit was removed, or moved by an update",
        (
            "Look for it: nvidia-ctk --version; dpkg -l | grep nvidia-container",
            INSTALL_TOOLKIT,
            "Correct the paths that name it: cat $config $toolkit_config; grep -rn nvidia-cdi-hook /etc/cdi "
            "/var/run/cdi",
            "Configure it again: $configure",
            GENERATE,
        ),
    ),
    Cause(
        r"(?:exec: \"?|fork/exec )(?P<file>[\w./-]*nvidia-[\w-]+)\"?: permission denied",
        "the engine may not run $file",
        (
            "Look at its rights, and at the mount options of its disk: ls -l $file; findmnt --target $file",
            INSTALL_TOOLKIT,
        ),
    ),
    Cause(
        r"(?:couldn't open (?:required )?configuration file|error loading config|failed to load config|unable to "
        r"load toml|"
        r"error getting hook config):? ?(?P<why>.{0,200})",
        "the toolkit's settings cannot be read, $toolkit_config: $why",
        (
            "Look at the place that it names: cat $toolkit_config",
            "Write the toolkit's own settings to compare with: nvidia-ctk config default",
        ),
    ),
    Cause(
        r"(?:error locating runtime: )?no runtime binary found from candidate list: (?P<runtimes>\[[^\]]*\])",
        "the toolkit finds none of the runtimes $runtimes, which $toolkit_config names",
        (
            "Look at the line `runtimes`: grep -n runtimes $toolkit_config",
            "Check what exists: ls -l /usr/bin/runc /usr/bin/crun",
        ),
    ),
    Cause(
        r"invalid (?:runtime )?mode:? \"?(?P<mode>[\w.-]+)",
        "$toolkit_config names a mode that does not exist: $mode",
        ("Let the toolkit choose: sudo nvidia-ctk config --in-place --set nvidia-container-runtime.mode=auto",),
    ),
    Cause(
        r"unsupported capabilities found in '?(?P<wanted>[\w, ]*)'? \(allowed '?(?P<allowed>[\w, ]*)'?\)",
        "the image asks for driver capabilities ($wanted) of which the toolkit allows only $allowed",
        ("Look at supported-driver-capabilities: grep -n capabilities $toolkit_config", UPDATE_TOOLKIT),
    ),
    Cause(
        # NVIDIA/nvidia-container-toolkit#14 (prestart); a specification names the hooks of the toolkit that wrote it.
        r"No help topic for '(?P<command>[\w-]+)'",
        "the programs of the toolkit are of different versions: one of them does not know the command `$command`",
        ("Compare them: dpkg -l | grep nvidia-container", UPDATE_TOOLKIT, GENERATE),
    ),
)
"""The toolkit's programs and settings."""

OTHER_IMAGE = (
    "Use an image for this machine: make validate BASE_IMAGE=nvcr.io/nvidia/pytorch:25.12-py3 IMAGE=dgxcert:25.12"
)

DRIVER_ERRORS: tuple[Cause, ...] = (
    Cause(
        # The entry point of NVIDIA's images, which breaks this sentence; eugr/spark-vllm-docker#266.
        r"This container was built for NVIDIA Driver Release (?P<wanted>[\d.]+) or later,\s+"
        r"but\s+version (?P<there>[\d.]+) was detected[^\n]{0,60}UNAVAILABLE",
        "the driver $there is too old for this image, which was built for $wanted",
        (
            "Compare with the driver that is loaded: nvidia-smi | head -4",
            "Use an older image, made for that driver; NVIDIA's support matrix lists each: "
            "https://docs.nvidia.com/deeplearning/frameworks/support-matrix",
            "Or update the driver, where the machine's maker supports the newer branch; then: sudo reboot",
        ),
    ),
    Cause(
        r"No supported GPU\(s\) detected to run this container",  # the same entry point
        "the image was made before this GPU, or after the last one that it supports",
        ("Compare with the machine's: nvidia-smi -L", OTHER_IMAGE),
    ),
    Cause(
        r"driver/library version mismatch|LIB_RM_VERSION_MISMATCH",
        "the driver's library and its kernel module have different versions: the driver was updated, and the old "
        "module runs",
        (
            "Load the new module: sudo reboot",
            "Check both afterwards: nvidia-smi; cat /proc/driver/nvidia/version",
            GENERATE,
        ),
    ),
    Cause(
        r"requires? reset|reset required|GPU_REQUIRES_RESET",
        "a GPU wants a reset",
        (
            "Find out which, by the line `GPU Recovery Action`: nvidia-smi -q | grep -E '^GPU|Recovery'",
            "Reset it while nothing uses it: sudo nvidia-smi --gpu-reset -i 0",
            "Start the machine again if it cannot be reset: sudo reboot",
        ),
    ),
    Cause(
        r"(?:nvml|driver|cuda) error: (?:gpu is lost|GPU is lost)|GPU is lost|ERROR_GPU_IS_LOST",
        "a GPU has fallen off the bus",
        ("Read why: sudo dmesg | grep -iE 'xid|nvrm' | tail", "Shut the machine down and start it again: sudo reboot"),
    ),
    Cause(
        r"driver not loaded|ERROR_DRIVER_NOT_LOADED|could(?: not|n't) communicate with the NVIDIA driver",
        "the driver's kernel module is not loaded",
        (
            "Load it: sudo modprobe nvidia && nvidia-smi",
            "Look for the reason, a module that was not built for this kernel or is not signed: dkms status; "
            "sudo dmesg | grep -i nvidia | tail",
        ),
    ),
    Cause(
        r"load library failed: (?P<file>lib[\w.-]+)|ERROR_LIBRARY_NOT_FOUND|"
        r"(?:pattern |failed to locate )(?P<other>lib(?:cuda|nvidia-ml)\.so[\w.*]*)(?: not found)?",
        "the toolkit does not find the driver's library $file on the machine",
        (
            "Check that the driver is installed and its libraries are known: nvidia-smi; ldconfig -p | grep -E "
            "'libcuda|nvidia-ml'",
            "Look at `root` and `ldcache`, which may point elsewhere: cat $toolkit_config",
            "Rebuild the list of libraries if they exist: sudo ldconfig",
        ),
    ),
    Cause(
        r"(?P<file>libcuda\.so\.1|libnvidia-ml\.so\.1): cannot open shared object|"
        r"The NVIDIA Driver was not detected",  # the entry point of NVIDIA's images
        "the container was started without the driver: the engine gave it no GPU",
        (
            "Compare with the machine: nvidia-smi -L; docker run --rm --gpus all ubuntu nvidia-smi -L",
            "Look for NVIDIA_VISIBLE_DEVICES in the image and the settings: docker inspect IMAGE | grep VISIBLE; "
            "cat $config",
            "List the specifications: nvidia-ctk cdi list",
            "Configure the engine: $configure",
        ),
    ),
    Cause(
        r"WSL environment detected but no adapters were found",
        "this is WSL, and Windows offers it no GPU",
        ("Update the NVIDIA driver in Windows, then WSL (wsl --update, in PowerShell).",),
    ),
    Cause(
        r"driver (?:rpc )?error: timed out",
        "the driver needs longer to start than the toolkit waits: the GPU is initialised for every container",
        (
            "Keep it initialised: sudo systemctl enable --now nvidia-persistenced; or: sudo nvidia-smi -pm 1",
            "Check how long the driver needs, and for hangs: nvidia-smi -L; sudo dmesg | grep -iE 'xid|nvrm' | tail",
        ),
    ),
    Cause(
        r"driver (?:rpc )?error: failed to (?:process request|perform handshake)",
        "the toolkit could not query the driver: its helper process ended",
        (DRIVER, "Start the machine again if the driver was updated: sudo reboot", *MORE, UPDATE_TOOLKIT),
    ),
    Cause(
        r"(?:initialization|detection) error: (?:nvml error: )?insufficient permissions|ERROR_NO_PERMISSION|"
        r"NVML.{0,40}insufficient permissions",
        "the engine may not open the GPU's device files",
        (
            "Look at their rights: ls -l /dev/nvidia*",
            "Look at `user` and `no-cgroups`: grep -nE 'user|no-cgroups' $toolkit_config",
            "Use the system's engine instead of one without root: docker context ls; unset DOCKER_HOST",
        ),
    ),
    Cause(
        r"requirement(?:s not met| error): (?:unsatisfied condition|.{0,60}unsatisfied condition):? "
        r"(?P<condition>cuda ?>=? ?[\d.]+)",
        "the driver is too old for the image, which needs $condition",
        (
            "See which CUDA the driver supports: nvidia-smi | head -4",
            "Update the driver to a branch that does, then: sudo reboot",
            "Do not switch the check off: an image started in spite of it fails in the middle of the work.",
        ),
    ),
    Cause(
        r"requirement(?:s not met| error):? .{0,60}?unsatisfied condition:? (?P<condition>[\w<>=!., ]+)",
        "the image was made for other GPUs or drivers than this machine's: it needs $condition",
        (
            "Compare with the machine's: nvidia-smi",
            "Look at what the image requires: docker inspect IMAGE | grep NVIDIA_REQUIRE",
        ),
    ),
    Cause(
        r"device error: (?P<device>[^\s:]+(?::\d+)?): unknown device|"
        r"device error: unknown device id:? (?P<other>[^\s:]+)|unknown device id:? (?P<third>[^\s:]+)",
        "the container asks for a GPU that this machine does not have: $device",
        (
            "Compare with the machine's: nvidia-smi -L",
            "Look for NVIDIA_VISIBLE_DEVICES in the image and the settings: docker inspect IMAGE | grep VISIBLE; "
            "cat $config",
        ),
    ),
    Cause(
        r"container error: cgroup subsystem devices not found",
        "the toolkit is too old for this machine's cgroup v2: it needs release 1.8 or newer",
        ("See its version: nvidia-ctk --version; nvidia-container-cli --version", UPDATE_TOOLKIT),
    ),
    Cause(
        r"failed to add device rules.{0,300}?bpf_prog_query\(BPF_CGROUP_DEVICE\) failed: (?P<why>operation not "
        r"permitted)",
        "the toolkit may not change the container's device rules, which are the kernel's on cgroup v2: the "
        "engine has no root, "
        "or runs inside another container",
        (
            "Check what the engine runs in: docker info --format '{{.SecurityOptions}}'; systemd-detect-virt",
            UPDATE_TOOLKIT,
            "Leave device rules to that container alone if it must be so: "
            "sudo nvidia-ctk config --in-place --set nvidia-container-cli.no-cgroups=true",
        ),
    ),
    Cause(
        r"failed to add device rules[^\0]{0,200}",
        "the toolkit cannot read or change the container's device rules on cgroup v2",
        (
            UPDATE_TOOLKIT,
            "Prefer CDI, which changes none: nvidia-ctk cdi list",
            "Check the kernel for hardened BPF, which hides them: cat /proc/sys/net/core/bpf_jit_harden",
        ),
    ),
    Cause(
        # NVIDIA/nvidia-docker#1146
        r"mount error: (?:.{0,80}?: )?(?P<file>/[^\s:]*cgroup[^\s:]*devices\.(?:allow|deny)): operation not permitted",
        "the toolkit may not change the container's device rules at $file: the engine itself runs in a container",
        (
            "Check what it runs in: systemd-detect-virt; docker info --format '{{.SecurityOptions}}'",
            "Run the engine on the machine itself; or, in an unprivileged container, leave the rules to its host: "
            "sudo nvidia-ctk config --in-place --set nvidia-container-cli.no-cgroups=true",
        ),
    ),
    Cause(
        r"mount error: (?:.{0,80}?: )?(?P<file>/[^\s:]*cgroup[^\s:]*): (?P<why>permission denied|no such file or "
        r"directory)",
        "the toolkit cannot write the container's device rules at $file: $why",
        (
            "Use the system's engine instead of one without root: docker context ls; unset DOCKER_HOST",
            "For a rootless engine alone: sudo nvidia-ctk config --in-place --set nvidia-container-cli.no-cgroups=true",
        ),
    ),
    Cause(
        r"mount error: .{0,80}?(?P<file>/[^\s:]+): (?P<why>no space left on device|read-only file system|disk "
        r"quota exceeded)",
        "the toolkit cannot put the driver into the container: $why at $file",
        (
            "Look at that disk: df -h $file; findmnt --target $file",
            "See where the engine keeps its data: docker info | grep Root",
        ),
    ),
    Cause(
        r"mount error: file creation failed: (?P<file>/[^\s:]+): file exists",  # images that contain the driver's files
        "the image itself contains a file of the driver: $file",
        ("Use an image without the driver's libraries; NVIDIA's own have none.", UPDATE_TOOLKIT),
    ),
    Cause(
        r"mount error: [^\0]{0,200}",
        "the toolkit could not put the driver's files into the container",
        (DRIVER, *MORE, UPDATE_TOOLKIT),
    ),
    Cause(
        r"error updating ldcache: [^\n]{0,80}pivot_root: (?P<why>[\w ]+)",
        "the toolkit's hook cannot make the container's list of libraries ($why), as where the root is in memory",
        (
            "See what the root is: findmnt /",
            "Look for DOCKER_RAMDISK, without which the engine fails there too: $show",
            UPDATE_TOOLKIT,
        ),
    ),
    Cause(
        r"ldcache error: .{0,40}?open failed: (?P<file>/[^\s:]+): no such file",
        "$toolkit_config names $file as ldconfig, which this system does not have",
        (
            "Look at the line: grep -n ldconfig $toolkit_config",
            "Name the program that exists: ls -l /sbin/ldconfig /sbin/ldconfig.real; "
            "sudo nvidia-ctk config --in-place --set nvidia-container-cli.ldconfig=@/sbin/ldconfig",
        ),
    ),
    Cause(
        r"ldcache error: process (?P<file>/[^\s:]+) (?P<how>failed with error code: \d+|terminated with signal \d+)",
        "$file $how while it made the container's list of libraries",
        (
            'On Ubuntu it must be "@/sbin/ldconfig.real", elsewhere "@/sbin/ldconfig": grep -n ldconfig '
            "$toolkit_config",
            "Check for a full or read-only disk: df -h /var/lib/docker",
            UPDATE_TOOLKIT,
        ),
    ),
    Cause(
        r"failed to initialize nvml: unknown error|nvml: unknown error",
        # systemd rewrites the cgroup's device rules, which then lack the GPUs that the container was given.
        "the container lost its GPUs when the system's services were reloaded (systemctl daemon-reload)",
        LOST,
    ),
    Cause(
        r"failed to (?:initialize|init) nvml:? ?(?P<why>.{0,120})",
        "the driver's management library does not start: $why",
        (DRIVER, "Compare library and module: cat /proc/driver/nvidia/version", GENERATE),
    ),
    Cause(
        r"can't initialize nvml",  # torch's message for it
        "the container has no working driver: it lost its GPUs or never had them",
        LOST,
    ),
    Cause(
        r"(?:initialization|detection) error: (?:cuda|nvml|driver) error: (?P<why>.{0,120})",
        "the driver answers the toolkit with an error: $why",
        (
            DRIVER,
            "Read its log: sudo dmesg | grep -iE 'xid|nvrm' | tail",
            "Start the machine again: sudo reboot",
            *MORE,
        ),
    ),
    Cause(
        r"nvidia-container-cli(?:\.real)?: (?P<step>\w+) error",
        "the NVIDIA Container Toolkit could not give the GPUs to the container ($step error)",
        (DRIVER, *MORE, UPDATE_TOOLKIT),
    ),
    Cause(
        r"error (?:running|executing) (?:\w+ )?hook.{0,300}(?P<hook>nvidia-[\w-]+)",
        "a program of the toolkit failed before the container started: $hook",
        (DRIVER, *MORE, GENERATE, UPDATE_TOOLKIT),
    ),
)
"""The driver, as the toolkit meets it."""
