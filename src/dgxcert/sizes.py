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
