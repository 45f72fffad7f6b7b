"""optimum-benchmark on one model, for bench_peers.py, in an environment of its own. Prints JSON.

Takes a JSON object: what (inference or training), folder of a model, device, dtype, sizes.
"""

import json
import logging
import resource
import sys
from typing import Any

import torch
from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, InlineConfig, PyTorchConfig, TrainingConfig


def main() -> None:
    """Measure, and print what it reports together with the seconds behind it."""
    asked = json.loads(sys.argv[1])
    logging.disable(logging.WARNING)
    backend: dict[str, Any] = {
        "model": asked["folder"],
        "processor": asked["folder"],
        "task": "text-generation",
        "device": asked["device"],
        "device_ids": "0" if asked["device"] == "cuda" else None,
        "torch_dtype": asked["dtype"],
    }
    found = {"inference": inference, "training": training}[asked["what"]](asked, backend)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = torch.cuda.max_memory_allocated() if asked["device"] == "cuda" else resident
    print(json.dumps(found | {"peak GiB": peak / 2**30}))


def inference(asked: dict[str, Any], backend: dict[str, Any]) -> dict[str, float]:
    """Token/s of prefill and decode as reported."""
    scenario = InferenceConfig(
        latency=True,
        memory=asked["memory"],
        iterations=5,
        duration=3,
        warmup_runs=5,
        input_shapes={"batch_size": 1, "sequence_length": asked["prompt"]},
        generate_kwargs={"max_new_tokens": asked["new_tokens"], "min_new_tokens": asked["new_tokens"]},
    )
    report = _report(scenario, PyTorchConfig(**backend))
    decode = report.decode or report.per_token
    return {
        "prefill token/s": report.prefill.throughput.value * asked["prompt"],
        "decode token/s": decode.throughput.value,
    }


def training(asked: dict[str, Any], backend: dict[str, Any]) -> dict[str, float]:
    """Samples/s as reported, and step/s by its own mean of seconds per step."""
    lora = {
        "r": asked["rank"],
        "lora_alpha": 2 * asked["rank"],
        "target_modules": ["q_proj", "v_proj"],
        "task_type": "CAUSAL_LM",
    }
    steps, warm_up = asked["steps"], asked["steps"] // 4
    scenario = TrainingConfig(
        max_steps=steps,
        warmup_steps=warm_up,
        dataset_shapes={"dataset_size": 4 * asked["batch"] * steps, "sequence_length": asked["length"]},
        training_arguments={
            "per_device_train_batch_size": asked["batch"],
            "use_cpu": asked["device"] == "cpu",
            "output_dir": asked["folder"],
            "max_steps": steps,
        },
    )
    report = _report(scenario, PyTorchConfig(**backend, peft_type="LORA", peft_config=lora))
    return {
        "reported samples/s": report.train.throughput.value,
        "step/s": 1 / report.train.latency.mean,
        "counted steps": float(steps - warm_up),
    }


def _report(scenario: Any, backend: Any) -> Any:
    config = BenchmarkConfig(name="peers", scenario=scenario, launcher=InlineConfig(), backend=backend)
    return Benchmark.launch(config)


if __name__ == "__main__":
    main()
