"""The image for arm64, the DGX Spark's architecture, built and used in emulation: `make test-arm64`.

It takes minutes, so it is not part of `make test`, and the stand-in for arm64 is kept and reused.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import Checkout, copy_of_checkout
from needs import missing

from dgxcert.container import engine
from dgxcert.machine.image import Image
from dgxcert.outcome import CannotStart

ROOT = Path(__file__).parents[2]
PLATFORM = "linux/arm64"

COMPUTE = """
import json, platform, warnings
import accelerate, bitsandbytes, datasets, evaluate, peft, sklearn, torch, transformers
from bitsandbytes import functional
from peft import LoraConfig, get_peft_model

torch.manual_seed(0)
config = transformers.LlamaConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                                  num_key_value_heads=2, vocab_size=128)
model = get_peft_model(transformers.LlamaForCausalLM(config), LoraConfig(task_type="CAUSAL_LM", r=4))
trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimiser = torch.optim.SGD(trainable, lr=0.5)
tokens = torch.randint(0, 128, (2, 16))
losses = []
for _ in range(2):
    loss = model(input_ids=tokens, labels=tokens).loss
    losses.append(loss.item())
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

weight, activations = torch.randn(128, 64), torch.randn(4, 64)
packed, state = functional.quantize_4bit(weight, quant_type="nf4")
product = bitsandbytes.matmul_4bit(activations, packed.t(), quant_state=state)
exact = activations @ functional.dequantize_4bit(packed, state).t()
unquantized = activations @ weight.t()
print(json.dumps({
    "machine": platform.machine(),
    "losses": losses,
    "packed": [packed.dtype == torch.uint8, packed.numel()],
    "nf4 error": ((product - exact).norm() / exact.norm()).item(),
    "quantization error": ((product - unquantized).norm() / unquantized.norm()).item(),
}))
"""


@pytest.fixture(scope="module")
def docker() -> str:
    if platform.machine() != "aarch64" and not Path("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists():
        missing("emulation of arm64 programs", "Run: sudo scripts/system-packages")
    try:
        return engine.docker()
    except CannotStart as error:
        missing(error.problem, "Run: sudo scripts/system-packages")


@pytest.fixture(scope="module")
def standin(docker: str) -> str:
    if os.getuid() != 0 or shutil.which("debootstrap") is None:
        missing("root or debootstrap, which build the stand-in base image", "Run: sudo scripts/system-packages")
    build = [sys.executable, ROOT / "container/standin/build.py", "--arch", "arm64", "--reuse", "--docker", docker]
    subprocess.run(build, check=True)
    return "dgxcert-standin:arm64"


@pytest.fixture(scope="module")
def image(standin: str, tmp_path_factory: pytest.TempPathFactory) -> Image:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_DEFAULT_PLATFORM", PLATFORM)
        checkout = Checkout(copy_of_checkout(tmp_path_factory.mktemp("arm64") / "checkout"))
        return checkout.build("dgxcert-test:arm64", "course", standin)[0]


def test_the_image_is_for_the_sparks_architecture(image: Image) -> None:
    assert image.kernel_architecture == "aarch64"
    assert image.standin


def test_the_stack_imports_takes_lora_steps_and_multiplies_in_nf4(image: Image, docker: str) -> None:
    command = [docker, "run", "--rm", "-i", "--platform", PLATFORM, "--entrypoint", "python3", image.id, "-"]
    done = subprocess.run(
        command, input=COMPUTE, env=engine.environment(), capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["machine"] == "aarch64"
    assert result["losses"][1] < result["losses"][0]
    assert result["packed"] == [True, 128 * 64 // 2]
    assert result["nf4 error"] < 1e-5
    assert 0.01 < result["quantization error"] < 0.2
