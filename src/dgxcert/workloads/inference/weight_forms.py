"""Weight forms: how the tuned path keeps a model's matrices, and the kernel that multiplies with them in that form."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.benchmark_cases import INT4, NF4
from dgxcert.machine.device import Device
from dgxcert.workloads.models import int4, linear_kernels, nf4
from dgxcert.workloads.models.four_bit.weights import FourBit
from dgxcert.workloads.models.linear_kernels import LinearKernel, Weights

if TYPE_CHECKING:
    import torch


class WeightForm:
    """Dense matrices, one for all layers that read the same input."""

    compiles = True
    """Whether torch can compile what multiplies with them."""

    def __init__(self, model: Any, linear: LinearKernel) -> None:
        self.linear = linear
        self._model = model

    def joined(self, linears: tuple[Any, ...]) -> Weights:
        """Linear layers of the model that read the same input, as one matrix of all their rows.

        The model's own layers become views of it, so that no second copy of the weights exists.
        """
        import torch

        matrix = torch.cat([linear.weight.detach() for linear in linears])
        for linear, rows in _parts(linears, matrix):
            linear.weight.data = rows
        return (matrix,)

    def of(self, matrix: "torch.Tensor") -> "tuple[Weights, torch.Tensor]":
        """A matrix (outer, inner) in this form, and the same in fp64 as this form rounds it."""
        return (matrix,), matrix.double()

    def error(self, device: Device) -> float | None:  # noqa: ARG002 (for those that are quantised)
        """The largest relative error of a few quantised layers by `linear` against fp64; None where none is."""
        return None


class Int4(WeightForm):
    """int4 by ATen's kernel. The model gets the dequantised weights, so that its forward pass is the reference."""

    pack: Callable[[int4.QuantisedMatrix], Weights] = staticmethod(lambda matrix: matrix.packed)

    def __init__(self, model: Any, linear: LinearKernel = int4.linear) -> None:
        super().__init__(model, linear)
        self.packed: dict[str, Weights] = int4.replace_weights(model, self.pack)
        """By the name of the linear layer."""
        self._names = {module: name for name, module in model.named_modules() if name in self.packed}

    def joined(self, linears: tuple[Any, ...]) -> Weights:
        """Their packed weights, one below the other; the model keeps none of them."""
        import torch

        packed, scales = zip(*(self.packed[self._names[linear]] for linear in linears), strict=True)
        return torch.cat(packed), torch.cat(scales, 1)

    def of(self, matrix: "torch.Tensor") -> "tuple[Weights, torch.Tensor]":
        """A matrix in int4."""
        quantised = int4.quantise(matrix)
        return self.pack(quantised), quantised.dequantised.double()

    def error(self, device: Device) -> float:
        """Of the first layer, a middle one and the last."""
        return int4.error(self._model, self.packed, device, self.linear)


class OwnInt4(Int4):
    """int4 by our own kernels."""

    pack = staticmethod(lambda matrix: FourBit.int4(matrix.levels, matrix.scale, matrix.zero))

    def __init__(self, model: Any) -> None:
        super().__init__(model, linear_kernels.four_bit_linear)

    def joined(self, linears: tuple[Any, ...]) -> Weights:
        """Likewise."""
        return FourBit.joined([FourBit(*self.packed[self._names[linear]]) for linear in linears])


class Nf4(WeightForm):
    """NF4 by bitsandbytes, which quantises layer by layer: its kernels run one after another."""

    compiles = False  # its layers choose their kernels in Python

    def __init__(self, model: Any, linear: LinearKernel = linear_kernels.bitsandbytes_linear) -> None:
        super().__init__(model, linear)

    def joined(self, linears: tuple[Any, ...]) -> Weights:
        """The layers themselves."""
        return linears

    def of(self, matrix: "torch.Tensor") -> "tuple[Weights, torch.Tensor]":
        """A matrix as it is, in a function: what NF4 layers compute is judged by `error`."""
        import torch

        return (lambda inputs: torch.nn.functional.linear(inputs, matrix),), matrix.double()

    def error(self, device: Device) -> float:
        """Of the first layer, a middle one and the last."""
        return nf4.error(self._model, device)


class OwnNf4(Nf4):
    """NF4 by our own kernels, from the bytes that bitsandbytes has quantised."""

    compiles = True

    def __init__(self, model: Any) -> None:
        super().__init__(model, linear_kernels.four_bit_linear)

    def joined(self, linears: tuple[Any, ...]) -> Weights:
        """Their bytes and scales, one below the other, of which those of the model's layers become views."""
        if len(linears) == 1:
            return FourBit.nf4(linears[0])
        matrix = FourBit.joined([FourBit.nf4(linear) for linear in linears])
        for linear, rows in _parts(linears, matrix.packed):
            linear.weight.data = rows.view(-1, 1)
        for linear, rows in _parts(linears, matrix.scales):
            linear.weight.quant_state.absmax = rows.view(-1)
        return matrix

    def of(self, matrix: "torch.Tensor") -> "tuple[Weights, torch.Tensor]":
        """A matrix in NF4."""
        weights = FourBit.nf4(nf4.sample(matrix).layer)
        return weights, weights.dequantised().double()

    def error(self, device: Device) -> float:
        """Of the first layer, a middle one and the last."""
        return nf4.error(self._model, device, lambda layer, rows: self.linear(rows, FourBit.nf4(layer)))


def find(model: Any, device: Device, precision: str, *, own: bool) -> WeightForm:
    """The form of a model's matrices by precision; `own` asks for our own kernels, of 4-bit weights."""
    if precision == INT4:
        return OwnInt4(model) if own else Int4(model)
    if precision == NF4:
        return OwnNf4(model) if own else Nf4(model)
    return WeightForm(model, linear_kernels.dense(device, model.lm_head.weight.dtype))


def _parts(linears: tuple[Any, ...], rows: "torch.Tensor") -> Any:
    """Each linear layer with its rows of what they share."""
    return zip(linears, rows.split([linear.out_features for linear in linears]), strict=True)
