"""Sizes of the timed work, as a profile gives them: which model, how many tokens, how many rounds."""

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A piece of a profile: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(Part):
    """What every model benchmark needs to know."""

    model: str
    rounds: int = Field(default=10, ge=3)
    warmup_rounds: int = Field(default=3, ge=1)


class Inference(Model):
    """Sizes of a prefill or decode benchmark, in tokens."""

    prompt: int = Field(ge=8)
    new_tokens: int = Field(default=1, ge=1)


class Lora(Model):
    """Sizes of a LoRA benchmark: `batch` rows of `length` tokens per step."""

    batch: int = Field(ge=1)
    length: int = Field(ge=8)
    rank: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)


class Matmul(Part):
    """Edge of the square matrices, and how many products one round holds."""

    size: int = Field(ge=64)
    products: int = Field(ge=1)
    rounds: int = Field(default=10, ge=3)


class Bandwidth(Part):
    """Size of the buffer that is copied, in MiB: larger than any cache."""

    size_mib: int = Field(ge=1)
    rounds: int = Field(default=10, ge=3)


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

    matmul: Matmul
    sustained: Sustained
    burn_in: BurnIn
    bandwidth: Bandwidth
    memory_pattern: MemoryPattern
    prefill: Inference
    decode: Inference
    lora: Lora
    weights_memory: WeightsMemory
    distillation: Distillation
    lab: Lab
