"""Traits: a step is shown where its condition holds or nobody knows, and left out where it does not."""

import pytest

from dgxcert.machine import trait
from dgxcert.machine.identity import Gpu, Machine, MemoryKind
from dgxcert.machine.trait import Trait


def machine(product: str | None, **fields: object) -> Machine:
    """A machine with one GPU of this name, or with none."""
    gpus = (Gpu(index=0, product=product, uuid="GPU-1", compute_capability="12.1"),) if product else ()
    known = {"hostname": "spark-07", "kernel": "6.14", "architecture": "aarch64", "cores": 20, "gpus": gpus}
    return Machine.model_validate(known | fields)


@pytest.mark.parametrize(
    ("product", "memory", "card", "soldered", "spark"),
    [
        ("NVIDIA GB10", "unified", False, True, True),
        ("NVIDIA H200", "separate", False, False, False),
        ("NVIDIA A100-SXM4-80GB", "separate", False, False, False),
        ("NVIDIA H100 80GB HBM3", "separate", False, False, False),
        ("NVIDIA H200 NVL", "separate", True, False, False),
        ("NVIDIA A100 80GB PCIe", "separate", True, False, False),
        ("NVIDIA GeForce RTX 5090", "separate", True, False, False),
        ("NVIDIA GB200", "coherent", False, True, False),
        ("NVIDIA GB300", "coherent", False, True, False),
        ("NVIDIA GH200 480GB", "separate", False, False, False),
        ("NVIDIA X9000", "separate", None, False, False),
        (None, "separate", None, None, None),
    ],
)
def test_how_a_gpu_is_mounted_follows_from_its_name_and_memory(
    product: str | None, memory: str, card: bool | None, soldered: bool | None, spark: bool | None
) -> None:
    traits = trait.of(machine(product), memory=MemoryKind(memory), in_container=True)
    assert (traits.get(Trait.CARD), traits.get(Trait.SOLDERED), traits.get(Trait.SPARK)) == (card, soldered, spark)


@pytest.mark.parametrize(("release", "dgx_os"), [("7.4.0", True), (None, False)])
@pytest.mark.parametrize(("virtual", "physical"), [(True, False), (False, True), (None, None)])
def test_operating_system_and_hypervisor(
    release: str | None, dgx_os: bool, virtual: bool | None, physical: bool | None
) -> None:
    traits = trait.of(
        machine(None, dgx_release=release, virtual=virtual), memory=MemoryKind.SEPARATE, in_container=False
    )
    assert (traits[Trait.DGX_OS], traits[Trait.OTHER_OS]) == (dgx_os, not dgx_os)
    assert (traits.get(Trait.VIRTUAL), traits.get(Trait.PHYSICAL)) == (virtual, physical)
    assert (traits[Trait.CONTAINER], traits[Trait.NATIVE]) == (False, True)


def test_a_step_without_a_condition_and_one_whose_trait_is_unknown_are_shown() -> None:
    steps = ("Run: docker version", Trait.CARD.only("Reseat it."), Trait.SPARK.only("Unplug it."))
    assert trait.applicable(steps, {Trait.SPARK: True}) == (
        "Run: docker version",
        "For a GPU on a card: Reseat it.",
        "Unplug it.",
    )
    assert trait.applicable(steps, {Trait.SPARK: False, Trait.CARD: False}) == ("Run: docker version",)
