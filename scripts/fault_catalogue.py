"""The page docs/faults.md: every known fault from docs/faults.yaml, and the requirement that catches it."""

import re
from pathlib import Path

from dgxcert.plan import known_faults
from dgxcert.plan.known_faults import CONFIDENCE, Catalogue, Fault

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "faults.md"
MADE = "<!-- Made by `make docs` from faults.yaml; change that, not this file. -->"
MATRIX_BEGINS, MATRIX_ENDS = "<!-- matrix begins -->", "<!-- matrix ends -->"
NO_MATRIX = "\nNot made yet.\n"

INTRODUCTION = f"""\
Publicly known faults of these machines: symptom, exact signature, what to do, and which requirement catches it. A
requirement catches a fault when it does not pass on a machine that has it: it fails, or it is inconclusive and names
the reason. Faults that nothing catches are listed with the reason.

- *Caught by* names the requirements that catch it, and the conditions.
- *Must not fire* marks readings that are healthy or harmless: these requirements must not fail on them.
- *Not checked* gives the reason why no requirement covers it.
- A step marked *ours* is this project's own suggestion. Every other step comes from the sources.
- GPU-XID, STORAGE-HEALTHY, MEMORY-HEALTHY, PCIE-HEALTHY, CPU-HEALTHY and POWER-HEALTHY read the kernel log of this boot
  before the work, GPU-XID-AFTER and HOST-LOG-AFTER again after it: they catch what happened since the machine was
  started, plus what firmware kept of the previous boot. LAST-BOOT reads how that one ended, in the journal and pstore.
- A line of the driver that may be a fault leaves GPU-XID inconclusive; it is measured once more after the work, and
  passes where every GPU has computed correctly after the line.
- GPU-XID-AFTER, GPU-ECC-AFTER and the burn-in catch what GPU-XID, GPU-ECC and the checks under load catch, if the work
  provokes it.
- Numbers in signatures are readings of single machines, not limits; [the profiles](profiles.md) hold the limits.

How reliable an entry is:

{chr(10).join(f"- *{words}*: {meaning}" for words, meaning in CONFIDENCE.values())}
"""

MATRIX = "Simulated machines, each with one of these faults, and the outcome of every requirement that sees it."

DESCRIBING = """\
A machine is one YAML file in `tests/simulated/machines/`. A small C library presents it to the real nvidia-ml-py as a
driver; checks, workloads, sampler and supervisor are the real ones, and the CPU does the matrix multiplications.
`make fault-matrix` judges every machine there, `make fault-matrix MACHINES=folder` those of another folder. It exits
with 1 when a machine is not judged as described, and when a requirement fires on a healthy machine.

```yaml
# One line that describes this machine
like: spark-idle                         # the machine that it differs from
summary: Stuck in low power; only clock and power under load show it
meant_for: {GPU-CLOCK-UNDER-LOAD: unplug}  # what must fail, and a word that its remedy must contain
driver_version: 580.173.02
under_load: {clock_sm_mhz: [799, 721, 745], power_draw_w: 19.5}
sources: [where the readings come from]
```

- `cannot_tell` is like `meant_for`, for what must be inconclusive. A machine with neither is healthy: nothing may fire.
- Fields are named as in nvidia-smi's long listing, in lower case with their unit: `clock_sm_mhz`, `power_draw_w`,
  `remapped_rows_pending`, `ecc_mode_current`. An unknown name is an error that lists the known ones.
- What a description omits, or calls `unknown`, is as on the healthy machine of its product (`spark-idle`, `h100-idle`
  or `h200-idle`), chosen by `name` or else by the file name.
- Instead of any value, also in a list, a description may give what the driver does: `not_supported`, `absent`,
  `no_permission`, `gpu_is_lost`, `mismatch`, `Unknown Error`, `error N` (NVML's number), NVML's own names
  (`NVML_ERROR_TIMEOUT`), what nvidia-smi prints (`[GPU requires reset]`, `ERR!`), `hangs` and `crashes`.
- Of the driver's state: `gpu_recovery_action` (`None`, `Reset`, `Reboot`, `Drain P2P`, `Drain and Reset`, or a number),
  or `reset_required` and `drain_and_reset_recommended` of older drivers; `fabric_state` (`Not Started`, `In Progress`,
  `Completed`), `fabric_status`, `fabric_health` (`{degraded_bw: "true"}`, by NVML's names), `fabric_health_summary` and
  `fabric_interface` (1 to 3: the newest form of the question that the driver knows); `inforom` (`valid`).
- Of NVLink: `nvlink_count` (links of a GPU; `not_supported` or 0 without NVLink), and of each of its links
  `nvlink_state` (`up`, `down`, `sleeps`, `no traffic`), `nvlink_speed_gbs` (each way), `nvlink_version` (`"4.0"`),
  `nvlink_remote` (`switch`, `gpu`, `unknown`), `nvlink_errors` (counters by name: `{replay: 2, replay_per_s: 1}`, of
  which `_per_s` is added for each second of load, and stays). `nvlinks` holds what differs on single links:
  `{3: {state: down}, 4: {speed_gbs: 12.5, errors: {symbol: 7}}}`. NVLink 5 has other counters than those before.
  `nvlink_fields: Disabled` is a GPU before Hopper, asked by functions alone.
- Of pairs of GPUs: `peer_access` (of all) and `peers` (`{1-3: CNS, 2>0: {read: NS}}`, both directions or one), in
  nvidia-smi's words: `OK`, `CNS`, `GNS`, `TNS`, `NS`, `DR` (disabled by registry key), `U`. `numa_node` of a GPU is the
  processors' node beside it; without it each of two nodes has half of the GPUs.
- Of power: `power_limit_requested_w` (what `nvidia-smi -pl` sets; the enforced one if it is not given),
  `power_limit_enforced_w`, `power_limit_default_w`, `power_limit_min_w` and `power_limit_max_w`.
- `cuda_init` is what CUDA returns when it starts, by number or name (`802`, `CUDA_ERROR_NO_DEVICE`, `hangs`); within
  `each`, as `cuda_context`, what the context of that GPU returns. While the fabric is not complete it is 802 by itself.
  `device_files_missing` (`[nvidia-uvm]`) and `kernel_modules` are what is looked at then.
- `under_load` holds the readings under load; a list of numbers is played over ten seconds of work. A machine described
  under load (P0 and busy, or with an event reason) reports the same readings all the time.
- `under_common_load` holds what differs while the ranks of one piece of work load all GPUs at once. `speed` is how fast
  a GPU works beside a healthy one (0.75), at any time or under either load: the CPU computes, and each round takes so
  much longer.
- `event_counter_*_us` are constant at rest. Under load they grow by `event_counter_*_us_per_s`; in a description of a
  machine under load without that, as if they had counted for the last ten seconds.
- `each` holds the readings that differ on single GPUs, by index; `device_count: 8` makes eight GPUs. `device_handle` is
  what the driver does when that GPU is requested at all.
- Of the host: `kernel_log` (lines of dmesg, and of the journal where that is not given), `journal` (lines of the
  journal), either of which may be `no_permission`; `kernel_log_begins_s` and `journal_begins_s` (when the beginning is
  lost), `previous_boot_log` (the last lines of the boot before, `absent` or `no_permission`; where that is not given it
  ended in good order), `pstore` (records of a crash), `edac_ue_count` and `edac_ce_count`, `drives` (the state of
  each: `nvme0: live`),
  `kernel_module_version`, `kernel_module_kind` (`open`, `proprietary`),
  `pci_devices`, `mem_total_gib`, `mem_available_gib`, `swap_used_gib`, `cuda_free_gib` (what CUDA reports as free).
  Limits of the process: `memory_limit_gib` in the file `memory_limit_file` (`memory.max`, `memory.high`,
  `memory.limit_in_bytes`, `memory.memsw.limit_in_bytes`) of `memory_limit_group`, with `memory_limit_used_gib` and
  `memory_limit_cache_gib`; `address_space_limit_gib` (`ulimit -v`); `commit_limit_gib` (`vm.overcommit_memory=2`).
  More of the host: `meminfo` (more lines of /proc/meminfo: `{CmaTotal: 0, HugePages_Total: 4096}`),
  `kernel_command_line`, `kernel_release`, `dgx_release` and `crash_kernel_mib`; groups of cores in `cpufreq`
  (`[{count: 10, min_mhz: 1378, max_mhz: 4004, busy_mhz: 1378, limit_mhz: 4004, governor: schedutil}]`),
  `cpus_offline` and `cpus_isolated` (numbers); `firmware_parts` (versions by part); `system_product`, `system_vendor`
  and `board_name` of DMI; `virtual`.
- Sensors, with the names and units of sysfs: `hwmon` (`[{name: acpi_fan, fan1_input: [2100, 0]}]`; of two values the
  second holds once there was load), `thermal_zones` (`[{type: acpitz, temp: 41700}]`), `power_supplies` (files by the
  name of each) and `prochot`. A machine that gives none has no sensors.
- The container engine: `engine` (a file of tests/recorded/engines; `stopped`, `forbidden`, `absent`, `silent`),
  `engine_info` (what replaces fields of its /info), `engine_log` (lines), `engine_settings` and `toolkit_settings` (the
  texts of daemon.json and config.toml), `toolkit_version`, `cdi_files` (texts by path), and `container_refused` or
  `container_says` (the error with which a container does not start, or ends); without these two none is started.
- `X_range: [lowest, highest]` beside a single reading under load lets it vary so: a healthy clock does not stand still.
- `profile` names the profile, if it is not the one that a run would choose by `system_product` and the GPUs; without
  `system_product` it is that of the product.

A fault found on a real machine becomes a file there, and an entry in `faults.yaml`.
"""


def page() -> str:
    """The whole page; the text between the marks of the matrix is kept, because another program writes it."""
    catalogue = known_faults.load(ROOT)
    lines = ["# Known faults", "", MADE, "", INTRODUCTION, *_counts(catalogue), ""]
    for letter, group in catalogue.groups.items():
        lines += [f"## {letter}. {group.title}", ""]
        for name, fault in group.faults.items():
            lines += [*_section(name, fault), ""]
    lines += ["## The fault matrix", "", MATRIX, "", f"{MATRIX_BEGINS}{_matrix()}{MATRIX_ENDS}", ""]
    return "\n".join([*lines, "## Describing a machine", "", DESCRIBING])


def _matrix() -> str:
    """What the page on disk has between the marks."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    found = re.search(f"{re.escape(MATRIX_BEGINS)}(.*?){re.escape(MATRIX_ENDS)}", text, re.DOTALL)
    return found.group(1) if found else NO_MATRIX


def _counts(catalogue: Catalogue) -> list[str]:
    rows = [(f"{letter}. {group.title}", list(group.faults.values())) for letter, group in catalogue.groups.items()]
    rows.append(("all", list(catalogue.faults.values())))
    lines = ["| group | caught | must not fire | not checked | entries |", "| --- | --- | --- | --- | --- |"]
    for title, faults in rows:
        fates = ([fault.caught_by for fault in faults], [fault.must_not_fire for fault in faults])
        caught, spared = (sum(map(bool, fate)) for fate in fates)
        lines.append(f"| {title} | {caught} | {spared} | {len(faults) - caught - spared} | {len(faults)} |")
    return lines


def _section(name: str, fault: Fault) -> list[str]:
    lines = [f"### {name}", "", f"**{fault.symptom}.** {_capital(fault.signature)}.", ""]
    lines += [f"- Seen with: {fault.versions}.", f"- {_fate(fault)}."]
    words, _ = CONFIDENCE[fault.confidence]
    lines += [f"- Sources ({words}): {'; '.join(map(_linked, fault.sources))}.", ""]
    steps = [f"{'*Ours:* ' if step.own else ''}{step.text}" for step in fault.remedy]
    return lines + ([f"{number}. {step}" for number, step in enumerate(steps, start=1)] or ["No remedy is on record."])


def _fate(fault: Fault) -> str:
    if fault.not_checked:
        return f"Not checked: {fault.not_checked}"
    links = ", ".join(f"[{name}](requirements.md#{name.lower()})" for name in fault.requirements)
    if fault.must_not_fire:
        return f"Must not fire: {links}"
    return f"Caught by {links}{f', if {fault.only_if}' if fault.only_if else ''}"


def _linked(source: str) -> str:
    """A source with its GitHub threads, forum threads and addresses as links."""
    source = re.sub(r"https://[^\s,]+", r"<\g<0>>", source)
    source = re.sub(r"\b([\w.-]+/[\w.-]+)#(\d+)", r"[\g<0>](https://github.com/\1/issues/\2)", source)
    return re.sub(r"NVIDIA forum (\d+)", r"[\g<0>](https://forums.developer.nvidia.com/t/\1)", source)


def _capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[0].upper() + text[1:]
