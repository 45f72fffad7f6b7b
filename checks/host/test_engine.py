"""Container engine: it answers, speaks our language, fits this machine, and can give GPUs to a container."""

from dgxcert import requirement
from dgxcert.probes.host import docker_engine


@requirement(
    "DOCKER-REACHABLE",
    why="The proven software comes as a container: without an engine there is nothing to train or generate with.",
    remedy=("Ask it by hand: docker version", "Read: journalctl -u docker | tail -50"),
    stage="host",
    gate=True,
)
def test_the_container_engine_answers(evidence):
    found = docker_engine.judged()
    answers = evidence.record("container engine answers", found.answers, source=found.says)
    evidence.advise(*found.remedy)
    assert answers.holds()


@requirement(
    "DOCKER-API",
    why="An engine that is too old for our requests fails in the middle of a build or a run, with other words.",
    remedy=(
        "Run `docker version` and compare the API lines of client and server.",
        "Update Docker Engine: version 20.10 or newer.",
        "The engine is too new for this dgxcert: take a newer dgxcert, then make setup.",
    ),
    stage="host",
)
def test_the_engine_and_the_suite_have_an_api_in_common(evidence):
    engine = docker_engine.read()
    api = evidence.record("newest API of the engine", engine.api, unit="API 1.x", source=engine.says)
    oldest = evidence.record("oldest API of the engine", engine.oldest_api, unit="API 1.x", source=engine.says)
    sdk = evidence.record("newest API of the SDK", engine.sdk_api, unit="API 1.x", source="Docker SDK for Python")
    needed = evidence.record("oldest API of use", engine.needed_api, unit="API 1.x", source=docker_engine.WHY_NEEDED)
    assert oldest <= sdk
    assert api >= needed


@requirement(
    "DOCKER-ROOTFUL",
    why="In a rootless engine the results belong to somebody else, and a GPU needs settings that are easily wrong.",
    remedy=(
        "Look which engines there are: docker context ls",
        "Use the system's: unset DOCKER_HOST; docker context use default",
        "Only a rootless one is there: sudo apt install docker.io, then sudo usermod -aG docker $USER",
    ),
    stage="host",
    gate=True,
)
def test_the_engine_runs_with_the_rights_of_the_system(evidence):
    engine = docker_engine.read()
    rootful = evidence.record("engine runs as root", not engine.rootless, source=engine.says)
    assert rootful.holds()


@requirement(
    "DOCKER-ARCHITECTURE",
    why="An emulated engine runs models a hundred times slower than the machine could, without an error.",
    remedy=(
        "Compare `docker info --format '{{.Architecture}}'` with `uname -m`.",
        "Use this machine's own engine: unset DOCKER_HOST DOCKER_CONTEXT; docker context use default",
        "Install the engine's packages for this machine's processor.",
    ),
    stage="host",
    gate=True,
)
def test_the_engine_is_of_this_machines_architecture(machine, evidence):
    engine = docker_engine.read()
    found = evidence.record("architecture of the engine", docker_engine.architecture(engine), source=engine.says)
    assert found == machine.architecture


@requirement(
    "DOCKER-GPU",
    why="Without the NVIDIA runtime or a CDI specification no container gets a GPU, and everything runs on the CPU.",
    remedy=(
        "Look for it: nvidia-ctk --version; docker info --format '{{json .Runtimes}}'; ls /etc/cdi /var/run/cdi",
        "Install it: sudo apt install nvidia-container-toolkit",
        "Configure it: sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
    ),
    stage="host",
)
def test_the_engine_knows_a_way_to_give_a_gpu_to_a_container(evidence):
    engine = docker_engine.read()
    found = ", ".join(engine.gpu_ways) or "no nvidia runtime, no CDI specification, no NVIDIA Container Toolkit"
    way = evidence.record("a way to give GPUs to containers", bool(engine.gpu_ways), source=f"{engine.says}: {found}")
    assert way.holds()
