"""Container engine: it answers, runs as root and natively, can give GPUs to a container, and its settings are valid."""

from dgxcert import requirement
from dgxcert.machine.trait import Trait
from dgxcert.probes.host import docker_engine
from dgxcert.probes.host.engine import gpu_access


@requirement(
    "DOCKER-REACHABLE",
    title="The container engine answers",
    why="The proven software stack comes as a container: without an engine there is nothing to train or generate with.",
    remedy=(
        "Run: docker version",
        "See which engines there are: docker context ls; dpkg -l | grep -iE 'docker|podman'",
    ),
    stage="host",
    gate=True,
)
def test_the_container_engine_answers(evidence):
    engine = docker_engine.reachability()
    answers = evidence.record("container engine answers", engine.reachable, source=engine.source)
    evidence.advise(*engine.remedy)
    assert answers.holds()


@requirement(
    "DOCKER-API",
    title="The container engine and dgxcert have an API version in common",
    why="An engine that is too old for a request fails in the middle of an image build or a training run.",
    remedy=(
        "Run `docker version` and compare the API lines of client and server.",
        "Update Docker Engine to version 20.10 or newer; find its packages: dpkg -l | grep docker",
        "Update dgxcert if the engine is the newer one: git pull && make setup",
    ),
    stage="host",
)
def test_the_engine_and_the_suite_have_an_api_in_common(evidence):
    engine = docker_engine.read()
    api = evidence.record("newest API of the engine", engine.api, unit="API 1.x", source=engine.source)
    oldest = evidence.record("oldest API of the engine", engine.oldest_api, unit="API 1.x", source=engine.source)
    sdk = evidence.record("newest API of the SDK", engine.sdk_api, unit="API 1.x", source="Docker SDK for Python")
    needed = evidence.record(
        "oldest usable API", engine.needed_api, unit="API 1.x", source=docker_engine.NEEDED_API_SOURCE
    )
    assert oldest <= sdk
    assert api >= needed


@requirement(
    "DOCKER-ROOTFUL",
    title="The container engine runs as root",
    why="A rootless engine gives checkpoints and results to another user id, and needs extra settings to reach a GPU.",
    remedy=(
        "List the engines: docker context ls",
        "Use the system's: unset DOCKER_HOST; docker context use default",
        *docker_engine.INSTALL,
        "Join the group of those who may use it, then log in again: sudo usermod -aG docker $USER",
    ),
    stage="host",
    gate=True,
)
def test_the_engine_runs_with_the_rights_of_the_system(evidence):
    engine = docker_engine.read()
    rootful = evidence.record("engine runs as root", not engine.rootless, source=engine.source)
    assert rootful.holds()


@requirement(
    "DOCKER-ARCHITECTURE",
    title="The container engine has this machine's architecture",
    why="An engine under emulation trains and generates a hundred times slower than the machine can, without an error.",
    remedy=(
        "Compare `docker info --format '{{.Architecture}}'` with `uname -m`.",
        "Use this machine's own engine: unset DOCKER_HOST DOCKER_CONTEXT; docker context use default",
        Trait.DGX_OS.only("Reinstall the engine that it ships with: sudo apt install --reinstall docker-ce"),
        Trait.OTHER_OS.only("Reinstall the engine, on Ubuntu and Debian: sudo apt install --reinstall docker.io"),
    ),
    stage="host",
    gate=True,
)
def test_the_engine_is_of_this_machines_architecture(machine, evidence):
    engine = docker_engine.read()
    architecture = evidence.record(
        "architecture of the engine", docker_engine.architecture(engine), source=engine.source
    )
    assert architecture == machine.architecture


@requirement(
    "DOCKER-GPU",
    title="The container engine can give GPUs to a container",
    why="Without the NVIDIA runtime or a CDI specification no container gets a GPU, and training runs on the CPU.",
    remedy=(
        "Look for them: nvidia-ctk --version; docker info --format '{{json .Runtimes}}'; ls /etc/cdi /var/run/cdi",
        "Install the toolkit: sudo apt install nvidia-container-toolkit",
        "Configure it: sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
    ),
    stage="host",
)
def test_the_engine_knows_a_way_to_give_a_gpu_to_a_container(evidence):
    engine = docker_engine.read()
    ways = ", ".join(engine.gpu_ways) or "no nvidia runtime, no CDI specification, no NVIDIA Container Toolkit"
    evidence.advise(*docker_engine.gpu_remedy(engine))
    evidence.record("container toolkit", gpu_access.toolkit(engine), source="nvidia-ctk --version and its settings")
    way = evidence.record("a way to give GPUs to containers", bool(engine.gpu_ways), source=f"{engine.source}: {ways}")
    assert way.holds()


@requirement(
    "ENGINE-SETTINGS",
    title="The settings of engine and toolkit are valid",
    why="An engine with a broken daemon.json runs until its next restart, and then no container starts on the machine.",
    remedy=(
        "Look at both: cat /etc/docker/daemon.json /etc/nvidia-container-runtime/config.toml",
        "Define the toolkit's runtime again: sudo nvidia-ctk runtime configure --runtime=docker",
        "Check the file before the next start: sudo dockerd --validate --config-file=/etc/docker/daemon.json",
    ),
    stage="host",
)
def test_the_settings_of_engine_and_toolkit_are_valid(evidence):
    found = gpu_access.read_settings()
    faults = evidence.record("faults in the settings", len(found.faults), unit="fault", source=found.source)
    evidence.advise(*found.remedy)
    assert faults == 0


@requirement(
    "CDI-CURRENT",
    title="The CDI specifications name what this machine has",
    why="A specification from before an update keeps containers from starting, or gives them another driver's files.",
    remedy=(
        "List the specifications and their devices: ls -l /etc/cdi /var/run/cdi; nvidia-ctk cdi list",
        "Generate the one in use again: sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml",
        "Let it follow every update: sudo systemctl enable --now nvidia-cdi-refresh.path nvidia-cdi-refresh.service",
    ),
    stage="host",
)
def test_the_cdi_specifications_name_what_this_machine_has(evidence):
    found = gpu_access.read_specifications()
    faults = evidence.record("faults of the specifications", len(found.faults), unit="fault", source=found.source)
    evidence.advise(*found.remedy)
    assert faults == 0
