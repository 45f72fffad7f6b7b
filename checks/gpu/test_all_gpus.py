"""All GPUs at once: none is slower than alone or than its siblings, and power and heat suffice for all."""

from dgxcert import requirement
from dgxcert.machine.trait import Trait
from dgxcert.workloads.hardware.together import load, memory, transfer


@requirement(
    "ALL-GPUS-LOAD",
    title="All GPUs at work hold their rate, and siblings are alike",
    why="Training on several GPUs waits for the slowest in every step. A power supply or a fan that gives in only when "
    "all GPUs work is seen in no test of one GPU, and costs every Trainer and Accelerate run on the machine.",
    remedy=load.SLOW,
    tier="standard",
    takes_s=32,
    budget_s=300,
)
def test_all_gpus_at_work_hold_their_rate(gpus, profile, evidence):
    together = load.measured(gpus, profile)
    together.keep(evidence)
    evidence.advise(*together.remedy(profile.limit("temperature.under_load")))
    differing = together.differing.record(evidence, "values that differ from the first product")
    braked = together.braked.record(evidence, "power brake with all GPUs at work", "of time")
    hot = together.hot.record(evidence, "slowed down for heat with all GPUs at work", "of time")
    temperature = together.hottest.record(evidence, "temperature of the hottest GPU", "°C")
    siblings = together.rates.siblings.record(evidence, "slowest beside its siblings", "of median")
    drop = together.rates.drop.record(evidence, "slowest beside itself alone", "of alone")
    assert differing == 0
    assert braked <= profile.limit("slowdown.power_brake")
    assert hot <= profile.limit("slowdown.thermal")
    assert temperature <= profile.limit("temperature.under_load")
    assert siblings >= profile.limit("together.load.siblings")
    assert drop >= profile.limit("together.load.drop")


@requirement(
    "ALL-GPUS-MEMORY",
    title="All GPUs at work keep their memory bandwidth, and siblings are alike",
    why="Generation with tensor parallelism (`tp_plan` of Transformers) reads the weights on all GPUs at once, "
    "and waits at every token for the GPU with the slowest memory.",
    remedy=(
        "See MEMORY-BANDWIDTH and GPU-ROW-REMAP of the named GPU in the same run.",
        "Read errors and clocks of its memory: nvidia-smi -q -d ECC,ROW_REMAPPER,CLOCK",
        "Reboot and run this again: sudo reboot. Memory that is fast afterwards is not defective.",
        "Open a hardware case with this run folder, and name the GPU, if its memory stays slower.",
    ),
    tier="standard",
    takes_s=13,
    budget_s=240,
)
def test_all_gpus_at_work_keep_their_memory_bandwidth(gpus, profile, evidence):
    together = memory.measured(gpus, profile)
    together.keep(evidence)
    differing = together.differing.record(evidence, "copied words that differ")
    siblings = together.rates.siblings.record(evidence, "slowest beside its siblings", "of median")
    drop = together.rates.drop.record(evidence, "slowest beside itself alone", "of alone")
    assert differing == 0
    assert siblings >= profile.limit("together.memory.siblings")
    assert drop >= profile.limit("together.memory.drop")


@requirement(
    "ALL-GPUS-TRANSFER",
    title="All GPUs at once exchange data with the host as fast as the machine is built for",
    why="Every rank of Accelerate copies its batches to its GPU at the same time, and `from_pretrained` on each rank "
    "its weights: a link, a slot or a bank of host memory that is too slow holds up all ranks.",
    remedy=(
        "See GPU-LINK and HOST-TRANSFER of the named GPU in the same run.",
        "Compare which GPUs share a switch and a processor: nvidia-smi topo -m; lspci -tv",
        "Check that each processor has all of its memory: sudo dmidecode -t memory | grep -E 'Locator|Size'",
        "Check whether the host is busy: top; then run this again.",
        Trait.CARD.only("Shut down, and reseat the named card or try another slot, if it stays slower."),
        "Open a hardware case with this run folder, and name the GPU, if it stays slower.",
    ),
    tier="standard",
    takes_s=18,
    budget_s=240,
)
def test_all_gpus_at_once_exchange_data_with_the_host(gpus, profile, evidence):
    together = transfer.measured(gpus, profile)
    together.keep(evidence)
    differing = together.differing.record(evidence, "words that differ")
    to_device = together.to_device.siblings.record(evidence, "slowest to device beside its siblings", "of median")
    to_host = together.to_host.siblings.record(evidence, "slowest to host beside its siblings", "of median")
    device_drop = together.to_device.drop.record(evidence, "slowest to device beside itself alone", "of alone")
    host_drop = together.to_host.drop.record(evidence, "slowest to host beside itself alone", "of alone")
    assert differing == 0
    assert to_device >= profile.limit("together.transfer.siblings")
    assert to_host >= profile.limit("together.transfer.siblings")
    assert device_drop >= profile.limit("together.transfer.drop")
    assert host_drop >= profile.limit("together.transfer.drop")
