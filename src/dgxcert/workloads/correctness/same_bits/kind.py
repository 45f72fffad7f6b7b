"""Kind: what two GPUs must have in common for the same work to give the same bits.

cuBLAS gives "the same bit-wise results at every run when executed on GPUs with the same architecture and the same
number of SMs" (cuBLAS documentation, "Results reproducibility"), from one version of it and with one stream. Two GPUs
of one product may have different numbers of multiprocessors, and then other tiles and other orders of sums.
"""

from dgxcert.machine.device import Device


def of(device: Device) -> str:
    """Product, compute capability and number of multiprocessors of a GPU; the product of a CPU."""
    if device.kind == "cpu":
        return device.product
    import torch

    properties = torch.cuda.get_device_properties(device.index)
    capability = f"{properties.major}.{properties.minor}"
    return f"{device.product}, compute capability {capability}, {properties.multi_processor_count} multiprocessors"
