"""Workload sizes: the `workloads` of a profile, which say what each benchmark and check runs, and for how long."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

LARGEST = 1e9
"""More than any size, count or number of seconds of a workload."""


class Part(BaseModel):
    """A section of a profile: unknown keys are errors, and so are numbers that no machine can work through."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_number_is_true(cls, content: Any) -> Any:
        """Refuse `true` where a number is wanted: pydantic would take it for 1."""
        for name, value in content.items() if isinstance(content, dict) else ():
            field = cls.model_fields.get(name)
            wants_number = field is not None and bool not in {field.annotation, *get_args(field.annotation)}
            if wants_number and any(isinstance(each, bool) for each in (value if isinstance(value, list) else [value])):
                raise ValueError(f"{name}: wanted no `true` or `false`, found {str(value).lower()[:20]}")
        return content

    @model_validator(mode="after")
    def _no_size_is_absurd(self) -> "Part":
        for name in type(self).model_fields:
            value = getattr(self, name)
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, int | float) and each > LARGEST:
                    raise ValueError(f"{name}: wanted at most {LARGEST:g}, found {each:g}")
        return self


class Timing(Part):
    """How long a benchmark warms up and is timed, in seconds.

    Timing ends early once the 95 % interval of the median round is `within` that share of the median.
    """

    warm_up_s: float = Field(default=10.0, gt=0)
    seconds: float = Field(default=8.0, gt=0)
    within: float = Field(default=0.01, gt=0, lt=1)
    least_rounds: int = Field(default=6, ge=6)


class Setting(Part):
    """Rows and tokens of a prompt, and how many tokens are generated for each row."""

    batch: int = Field(default=1, ge=1)
    prompt: int = Field(ge=8)
    new_tokens: int = Field(default=1, ge=1)


class Inference(Part):
    """A model, the settings that it runs in, and whether its `tuned` steps are compiled."""

    model: str
    compile: bool = True
    single: Setting
    long: Setting
    full: Setting
    full_long: Setting | None = None

    def setting(self, name: str) -> Setting:
        """The setting of that name in `benchmark_cases`. Raises KeyError where the profile gives none.

        >>> row, rows = Setting(prompt=512), Setting(batch=64, prompt=512)
        >>> Inference(model="llama-3.1-8b", single=row, long=row, full=rows).setting("full").batch
        64
        """
        setting: Setting | None = getattr(self, name)
        if setting is None:
            raise KeyError(name)
        return setting


class LoraModel(Part):
    """A causal model and its batches: `batch` rows of up to `length` tokens per step."""

    model: str
    batch: int = Field(ge=1)
    length: int = Field(ge=8)
    rank: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)


class Lora(Part):
    """Two sizes of causal models; the course's own setup is `lab`. `compile` is for the `tuned` path."""

    compile: bool = True
    small: LoraModel
    large: LoraModel


class DataParallel(Part):
    """Steps of LoRA training on several devices: timed on each `alone`, in turn, and then `together`.

    The first steps together are `compared` with those of one device that trains on the rows of all. `model` is that of
    `lora.large` where none is given.
    """

    model: LoraModel | None = None
    warm_up: int = Field(default=2, ge=1)
    alone: int = Field(default=3, ge=3)
    compared: int = Field(default=2, ge=2)
    together: int = Field(default=10, ge=6)


class Matmul(Part):
    """Edge of the square matrices, how many are multiplied in one round, and the edges tried for the highest rate."""

    size: int = Field(ge=64)
    products: int = Field(ge=1)
    sweep: tuple[int, ...] = Field(min_length=1)


class Bandwidth(Part):
    """Size in MiB of the buffer that is read and copied: larger than any cache."""

    size_mib: int = Field(ge=1)


class Transfer(Part):
    """Size in MiB of the buffer that is copied to the device and back."""

    size_mib: int = Field(ge=1)


class Load(Part):
    """Size in MiB of the safetensors file that is read from disk."""

    size_mib: int = Field(ge=1)


class Collectives(Part):
    """Sizes of what several GPUs do together.

    `counts` are the elements of 8 bytes of a block that each collective is proven with, odd ones among them, and
    `bf16_count` those of a sum in bf16. Timed sizes double from `smallest_bytes` until the bus bandwidth grows by no
    more than `growth`, or up to `largest_mib`, which is never more than fits beside the margin.
    """

    counts: tuple[int, ...] = Field(default=(1, 3, 1023, 65_537, 1_048_583), min_length=1)
    bf16_count: int = Field(default=262_147, ge=1)
    smallest_bytes: int = Field(default=1024, ge=64)
    largest_mib: int = Field(default=8192, ge=1)
    growth: float = Field(default=0.02, gt=0, lt=1)


class Sustained(Part):
    """Seconds of matmul of this size while the GPU is sampled, `products` of them in a round."""

    seconds: float = Field(default=10.0, gt=0)
    size: int = Field(ge=64)
    products: int = Field(ge=1)


class MemoryPattern(Part):
    """How much of the memory budget is written and read back: a share of it, and at most so many GiB if given."""

    share: float = Field(default=1.0, gt=0, le=1)
    max_gib: float | None = Field(default=None, gt=0)


class BurnIn(Part):
    """Seconds of one cycle of matmul, copies and training, and the steps of its training."""

    cycle_s: float = Field(gt=0)
    steps: int = Field(ge=1)


class WeightsMemory(Part):
    """The model whose weights are measured in 16 and in 4 bits, or as many of its layers as fit into memory."""

    model: str


class Encoder(Part):
    """Sizes of a BERT-like model."""

    hidden: int = Field(ge=8)
    heads: int = Field(ge=1)
    intermediate: int = Field(ge=8)


class Loading(Part):
    """Layers of the checkpoint that is loaded to measure the memory that this takes, 32 MB each."""

    layers: int = Field(default=4, ge=1)


class Distillation(Encoder):
    """Layers of teacher and student, and the `batch` rows of `length` tokens that both are timed with."""

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
    """The sizes of all workloads."""

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
    data_parallel: DataParallel = DataParallel()
    weights_memory: WeightsMemory
    loading: Loading = Loading()
    collectives: Collectives = Collectives()
    distillation: Distillation
    lab: Lab
