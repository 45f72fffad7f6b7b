"""LoRA by transformers' own Trainer, step after step: what happens between two steps counts, too."""

import os
import tempfile
import time
from typing import Any

from dgxcert.outcome import Inconclusive
from dgxcert.workloads.course.distilbert_lab import isolated_trainer
from dgxcert.workloads.round_timer import AddRound
from dgxcert.workloads.training import lora_batches
from dgxcert.workloads.training.lora_training import Training

FOR_EVER = 10**6
"""Steps that Trainer is told to take; a callback ends it."""
WHERE = "ACCELERATE_TORCH_DEVICE"
"""accelerate's variable for the device; without it Trainer takes the first GPU."""


class Stock(Training):
    """Trainer with what it does by default, but no logging, saving or shuffling."""

    def run_rounds(self, add_round: AddRound) -> None:
        """Trainer over the batches in turn; a round lasts from the end of one step to the end of the next."""
        with tempfile.TemporaryDirectory(prefix="dgxcert-lora-") as folder, isolated_trainer():
            if self.setup.device.kind == "cuda":
                os.environ[WHERE] = self.setup.device.name
            self._trainer(add_round, folder).train()
        if str(self.model.device) != self.setup.device.name:
            raise Inconclusive(f"Trainer worked on {self.model.device}, not on {self.setup.device.name}")

    def _trainer(self, add_round: AddRound, folder: str) -> Any:
        from transformers import PrinterCallback, Trainer

        kept = self.losses

        class Keeping(Trainer):  # type: ignore[misc]  # transformers is not typed here
            def compute_loss(self, *inputs: Any, **options: Any) -> Any:
                found = super().compute_loss(*inputs, **options)
                kept.append((found[0] if isinstance(found, tuple) else found).detach())
                return found

        trainer = Keeping(
            model=self.model,
            args=self._arguments(folder),
            train_dataset=_endless(self.setup.batches),
            data_collator=lora_batches.padded,
            callbacks=[_rounds_of(self, add_round)],
        )
        # Or the loss would be over all tokens, the first of each row included, which nothing predicts.
        trainer.model_accepts_loss_kwargs = False
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _arguments(self, folder: str) -> Any:
        from transformers import TrainingArguments

        device = self.setup.device
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=FOR_EVER,
            per_device_train_batch_size=len(self.setup.batches[0]),
            learning_rate=self.setup.learning_rate,
            lr_scheduler_type="constant",
            bf16=self.setup.classifies and self.setup.compute == "bf16",
            use_cpu=device.kind == "cpu",
            dataloader_pin_memory=device.kind == "cuda",
            remove_unused_columns=False,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        arguments._n_gpu = min(arguments.n_gpu, 1)  # with several GPUs it would spread the model over all of them
        return arguments


def _endless(batches: tuple[lora_batches.Batch, ...]) -> Any:
    """The rows of the batches in their order, again and again: a data set that Trainer does not shuffle."""
    from torch.utils.data import IterableDataset

    class Rows(IterableDataset):  # type: ignore[misc]  # torch is not typed here
        def __iter__(self) -> Any:
            while True:
                for batch in batches:
                    yield from batch

    return Rows()


def _rounds_of(training: Training, add_round: AddRound) -> Any:
    """A callback that times steps, and looks at the gradients of one more step when it is enough."""
    from transformers import TrainerCallback

    class Steps(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
        ended: float | None = None
        wanted = True

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **about: Any) -> None:  # noqa: ARG002
            if not self.wanted:
                training.look_at_gradients()

        def on_step_end(self, args: Any, state: Any, control: Any, **about: Any) -> None:  # noqa: ARG002
            training.setup.device.wait()
            now = time.perf_counter()
            if not self.wanted:
                control.should_training_stop = True
            elif self.ended is not None:
                self.wanted = add_round(now - self.ended)
            self.ended = time.perf_counter()

    return Steps()
