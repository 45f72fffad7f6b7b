"""Intruders: an error is traced to the package beside the lock by its words or its files, and to no other."""

from pathlib import Path

import pytest

from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.stack import beside, intruder
from dgxcert.probes.stack.placement import Package, Place


def guest(name: str, folder: str = "/site", *modules: str) -> Package:
    """A package beside the lock."""
    return Package(name, "1.0", folder, Place.ENVIRONMENT, "pip", modules or (name.replace("-", "_"),))


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Found an incompatible version of torchao. Found version 0.15.0", "torchao"),  # peft.import_utils
        ("operator torchvision::nms does not exist", "torchvision"),  # torch.library, torchvision of another torch
        ("No package metadata was found for flash_attn", "flash-attn"),
        ("cannot import name 'amp' from 'apex' (/site/apex/__init__.py)", "apex"),
        ("no kernels for this GPU", None),
        ("module 'kernels' has no attribute 'get_kernel'", "kernels"),
        ("/home/ada/torchvision-notes/x.txt is missing", None),
        ("CUDA error: device-side assert in torchvision", None),
        ("something else", None),
    ],
)
def test_the_words_of_an_error_name_the_package(words: str, name: str | None) -> None:
    found = [guest(each) for each in ("torchao", "torchvision", "flash-attn", "apex", "kernels")]
    suspect = intruder.suspect(words, [], found)
    assert (suspect.name if suspect else None) == name


def test_the_deepest_file_outweighs_a_name() -> None:
    found = [guest("torchvision"), guest("xformers")]
    files = ["/site/transformers/x.py", "/site/xformers/ops.py", "/site/torch/library.py"]
    suspect = intruder.suspect("torchvision is fine", files, found)
    assert suspect is not None
    assert suspect.name == "xformers"


def test_an_exception_is_followed_to_what_led_to_it(tmp_path: Path) -> None:
    (tmp_path / "xguest.py").write_text("raise OSError('libcudart.so.12: cannot open')\n", encoding="utf-8")
    code = compile((tmp_path / "xguest.py").read_text(encoding="utf-8"), str(tmp_path / "xguest.py"), "exec")
    with pytest.raises(RuntimeError) as raised:  # noqa: PT012 (one error that leads to another)
        try:
            exec(code, {})
        except OSError as inner:
            raise RuntimeError("Failed to import transformers.models") from inner
    suspect = intruder.of_error(raised.value, [guest("xguest", str(tmp_path))])
    assert suspect is not None
    assert suspect.name == "xguest"
    assert intruder.of_error(raised.value, [guest("torchao")]) is None


def test_the_traceback_in_a_program_s_output_is_read() -> None:
    output = 'Traceback:\n  File "/site/torchaudio/x.py", line 3, in <module>\nOSError: libc10_cuda\n'
    suspect = intruder.of_output(output, [guest("torchaudio")])
    assert suspect is not None
    assert suspect.name == "torchaudio"
    assert intruder.of_output("OSError: libc10_cuda\n", [guest("torchaudio")]) is None


def test_an_exception_ends_as_wrong_with_the_package_and_its_removal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "of_this_environment", lambda: (guest("torchao"),))
    with pytest.raises(Wrong, match=r"the cause is torchao 1\.0") as raised, intruder.named():
        raise ImportError("Found an incompatible version of torchao.")
    assert "python -m pip uninstall -y torchao" in raised.value.remedy[0]
    with pytest.raises(ValueError, match="other"), intruder.named():
        raise ValueError("other")
    with pytest.raises(Inconclusive), intruder.named():
        raise Inconclusive("torchao could not be measured")
