"""Sizes of the timed work, as a profile gives them: which model, how many tokens, how many rounds."""

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A piece of a profile: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Timing(Part):
    """How long a benchmark warms up and is timed, in seconds, and when its median is known well enough.

    Rounds end once the 95 % interval of their median lies `within` that share of it, or when the time is over.
    """

    warm_up_s: float = Field(default=10.0, gt=0)
    seconds: float = Field(default=8.0, gt=0)
    within: float = Field(default=0.01, gt=0, lt=1)
    least_rounds: int = Field(default=6, ge=6)


class Setting(Part):
    """Rows and tokens of a prompt, and how many tokens each row writes after it."""

    batch: int = Field(default=1, ge=1)
    prompt: int = Field(ge=8)
    new_tokens: int = Field(default=1, ge=1)


class Inference(Part):
    """A model, the settings that it is run in, and whether its `tuned` steps are compiled."""

    model: str
    compile: bool = True
    single: Setting
    long: Setting
    full: Setting
    full_long: Setting | None = None

    def setting(self, name: str) -> Setting:
        """The setting of that name, as `cases` has it; raises KeyError where the profile gives none."""
        found: Setting | None = getattr(self, name)
        if found is None:
            raise KeyError(name)
        return found


class LoraModel(Part):
    """A causal model and its batches: `batch` rows of up to `length` tokens per step."""

    model: str
    batch: int = Field(ge=1)
    length: int = Field(ge=8)
    rank: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)


class Lora(Part):
    """Two sizes of causal models; the course's own set-up is `lab`. `compile` is for the `tuned` path."""

    compile: bool = True
    small: LoraModel
    large: LoraModel


class Matmul(Part):
    """Edge of the square matrices, how many products one round holds, and the edges that are tried for the best."""

    size: int = Field(ge=64)
    products: int = Field(ge=1)
    sweep: tuple[int, ...] = Field(min_length=1)


class Bandwidth(Part):
    """Size of the buffer that is read and copied, in MiB: larger than any cache."""

    size_mib: int = Field(ge=1)


class Transfer(Part):
    """Size of the buffer that goes to the device and back, in MiB."""

    size_mib: int = Field(ge=1)


class Load(Part):
    """Size of the safetensors file that is read from disk, in MiB."""

    size_mib: int = Field(ge=1)


class Sustained(Part):
    """Seconds of products of this size during which the GPU is sampled; `products` are asked for at a time."""

    seconds: float = Field(default=10.0, gt=0)
    size: int = Field(ge=64)
    products: int = Field(ge=1)


class MemoryPattern(Part):
    """How much of the memory that work may take is written and read back: a share, and GiB at the most."""

    share: float = Field(gt=0, le=1)
    max_gib: float = Field(gt=0)


class BurnIn(Part):
    """Seconds of one cycle of products, copies and training, and the steps of that training."""

    cycle_s: float = Field(gt=0)
    steps: int = Field(ge=1)


class WeightsMemory(Part):
    """The model whose weights are measured in 16 and in 4 bits, or as many of its layers as there is memory for."""

    model: str


class Encoder(Part):
    """Sizes of a BERT-like model."""

    hidden: int = Field(ge=8)
    heads: int = Field(ge=1)
    intermediate: int = Field(ge=8)


class Distillation(Encoder):
    """Layers of teacher and student, and the `batch` rows of `length` tokens that both are timed on."""

    teacher_layers: int = Field(ge=2)
    student_layers: int = Field(ge=1)
    batch: int = Field(ge=1)
    length: int = Field(ge=8)
    rounds: int = Field(default=9, ge=5)


class Lab(Encoder):
    """Sizes of the course's LoRA lab: its model, and `steps` of `batch` rows of `length` tokens."""

    layers: int = Field(ge=1)
    batch: int = Field(ge=1)
    length: int = Field(ge=8)
    steps: int = Field(ge=8)
    learning_rate: float = Field(gt=0)


class Workloads(Part):
    """The sizes of the timed work."""

    timing: Timing = Timing()
    matmul: Matmul
    sustained: Sustained
    burn_in: BurnIn
    bandwidth: Bandwidth
    transfer: Transfer
    load: Load
    memory_pattern: MemoryPattern
    prefill: Inference
    decode: Inference
    lora: Lora
    weights_memory: WeightsMemory
    distillation: Distillation
    lab: Lab
