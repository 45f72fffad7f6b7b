"""Units: the quantities that a profile may limit, and the units each may be written in."""

from dgxcert.judgement import benchmark_cases

OF_ROOFLINE = "of roofline"
OF_CEILING = "of ceiling"
OF_MEDIAN = "of median"
OF_ALONE = "of alone"
OF_LINEAR = "of linear"
OF_TIME = "of time"
OF_START = "of start"
OF_DEFAULT = "of default"
OF_AVAILABLE = "of available"
OF_ROUNDING = "of rounding"
OF_EXACT = "of exact"
OF_MEMORY = "of memory"
OF_HIGHEST = "of highest"
OF_PROCESSORS = "of processors"
OF_LIMIT = "of limit"
OF_WEIGHTS = "of weights"
OF_BITS = "of bits"
OF_QUESTIONS = "of questions"
OF_PAYLOAD = "of payload"

PAIR_SPEEDS = ("one_way", "sendrecv", "all_gather", "all_reduce")
PAIR_BACKENDS = ("nccl", "gloo")
"""What two machines do over the cable between them, and with what."""

QUANTITIES: dict[str, tuple[str, ...]] = {
    "board.critical": ("part",),
    "fan.hot": ("°C",),
    "fan.stopped": ("fan",),
    "fan.standing": ("fan",),
    "power.system": ("W",),
    "power.package": ("W",),
    "power.contract": ("W",),
    "gpu.compute_capability": ("compute capability",),
    "device.memory": ("GiB",),
    "driver.branch": ("driver branch",),
    "gpu.product": ("",),
    "gpu.persistence": ("",),
    "gpu.compute_mode": ("",),
    "gpu.mig": ("",),
    "gpu.ecc": ("",),
    "ecc.uncorrected": ("error",),
    "ecc.corrected": ("error",),
    "ecc.growth": ("error/s",),
    "memory.free": (OF_AVAILABLE,),
    "memory.pattern": (OF_MEMORY,),
    "link.width": ("lane", OF_CEILING),
    "link.generation": ("PCIe generation", OF_CEILING),
    "links.count": ("link",),
    "links.speed": ("GB/s",),
    "links.errors": ("error",),
    "links.replays": ("error/s",),
    "links.bit_errors": (OF_BITS,),
    "links.pairs": ("pair",),
    "links.without_fabric": ("GPU",),
    "clock.under_load": ("MHz", OF_CEILING),
    "clock.still": ("MHz",),
    "clock.free": ("MHz", OF_CEILING),
    "clock.boost": (OF_CEILING,),
    "clock.steadiness": (OF_START,),
    "temperature.under_load": ("°C",),
    "slowdown.thermal": (OF_TIME,),
    "slowdown.power_cap": (OF_TIME,),
    "slowdown.power_brake": (OF_TIME,),
    "burn_in.steadiness": (OF_START,),
    "power.limit": (OF_DEFAULT,),
    "disk.free": ("GiB",),
    "disk.models": ("GiB",),
    "disk.data_sets": ("GiB",),
    "disk.images": ("GiB",),
    "disk.results": ("GiB",),
    "disk.temporary": ("GiB",),
    "disk.inodes": ("inode",),
    "memory.available": ("GiB",),
    "swap.used": ("GiB",),
    "memory.reserved": (OF_MEMORY,),
    "memory.handover": (OF_MEMORY,),
    "memory.shared": ("MiB",),
    "memory.loading": (OF_WEIGHTS,),
    "files.open": ("file",),
    "cpu.clock": (OF_HIGHEST,),
    "cpu.allowed": (OF_HIGHEST,),
    "cpu.count": ("processor",),
    "cpu.missing": (OF_PROCESSORS,),
    "clock.error": ("s",),
    "xid.faults": ("event",),
    "storage.faults": ("event",),
    "memory.faults": ("event",),
    "pcie.faults": ("event",),
    "cpu.faults": ("event",),
    "power.faults": ("event",),
    "host.faults": ("event",),
    "boot.burn_in": ("min",),
    "attention.backends": ("backend",),
    "attention.output": (OF_ROUNDING,),
    "attention.gradients": (OF_ROUNDING,),
    "gradients": (OF_ROUNDING,),
    "training.attention.direction": ("°",),
    "training.attention.size": (OF_EXACT,),
    **{f"training.direction.{precision}": ("°",) for precision in benchmark_cases.TRAINING},
    **{f"training.size.{precision}": (OF_EXACT,) for precision in benchmark_cases.TRAINING},
    "training.scaling": (OF_LINEAR,),
    "spread": (OF_MEDIAN,),
    "spread.host": (OF_MEDIAN,),
    "spread.storage": (OF_MEDIAN,),
    "ceiling.share": (OF_CEILING,),
    **{f"bandwidth.{direction}": ("GB/s",) for direction in benchmark_cases.DIRECTIONS},
    **{f"transfer.{direction}": ("GB/s",) for direction in benchmark_cases.TRANSFERS},
    **{f"load.{way}": ("GB/s",) for way in benchmark_cases.LOADS},
    **{
        f"collectives.{operation}.{algorithm}": ("GB/s",)
        for operation, algorithms in benchmark_cases.COLLECTIVES.items()
        for algorithm in algorithms
    },
    "collectives.slowest": (OF_MEDIAN,),
    **{f"matmul.{precision}": ("TFLOP/s",) for precision in benchmark_cases.MATMUL},
    **{case.limit("prefill"): ("token/s", OF_ROOFLINE, OF_CEILING) for case in benchmark_cases.PREFILL},
    **{case.limit("decode"): ("token/s", OF_ROOFLINE, OF_CEILING) for case in benchmark_cases.DECODE},
    **{case.limit("lora"): ("step/s", OF_ROOFLINE, OF_CEILING) for case in benchmark_cases.LORA},
    **{f"advice.load.{way}": ("GB/s",) for way in benchmark_cases.LOADS},
    "together.load.drop": (OF_ALONE,),
    "together.load.siblings": (OF_MEDIAN,),
    "together.memory.drop": (OF_ALONE,),
    "together.memory.siblings": (OF_MEDIAN,),
    "together.transfer.drop": (OF_ALONE,),
    "together.transfer.siblings": (OF_MEDIAN,),
    "advice.kernels": (OF_LIMIT,),
    "pair.halves": ("half",),
    "pair.speed": ("Gbit/s",),
    "pair.mtu": ("B",),
    "pair.pcie.width": ("lane",),
    "pair.pcie.speed": ("GT/s",),
    "pair.answered": (OF_QUESTIONS,),
    "pair.errors": ("error",),
    "pair.carried": (OF_PAYLOAD,),
    "pair.message": ("MiB",),
    "pair.nccl": ("NCCL version code",),
    **{f"pair.{operation}.{backend}": (OF_ROOFLINE,) for operation in PAIR_SPEEDS for backend in PAIR_BACKENDS},
    "pair.all_gather.nccl.jumbo": (OF_ROOFLINE,),
}
"""The units of each limit, so that a wrong unit is an error and not a factor of 1000. Shares are of a bound that the
workload computes. What begins with `advice` chooses words in a report, and rejects nothing."""

SPEEDS = ("bandwidth", "transfer", "load", "collectives", "matmul", "prefill", "decode", "lora")
"""First part of the names of limits that are speeds."""

PEAKS: dict[str, str] = {
    "memory_bandwidth": "GB/s",
    "host_link": "GB/s",
    "storage": "GB/s",
    "nvlink": "GB/s",
    **{f"matmul.{precision}": "TFLOP/s" for precision in benchmark_cases.MATMUL},
}
"""The unit of each physical peak. `nvlink` is all links of one GPU, in one direction."""
