"""Tensor file: a safetensors file of this environment is preserved, and a changed one is noticed."""

from dgxcert.workloads.stack import tensor_file


def test_tensors_are_preserved() -> None:
    file = tensor_file.run()
    assert (file.changed, file.layout, file.metadata) == ("none", "as promised", tensor_file.KEPT)


def test_file_with_a_changed_or_an_additional_byte_is_not_as_promised() -> None:
    from safetensors.torch import save

    tensors = tensor_file.tensors()
    content = save(tensors)
    assert tensor_file.layout(content, tensors) == "as promised"
    assert "bytes of" in tensor_file.layout(content[:-1] + bytes([content[-1] ^ 1]), tensors)
    assert "more than the tensors" in tensor_file.layout(content + b"\0", tensors)
