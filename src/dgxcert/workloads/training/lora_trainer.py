"""LoRA by transformers' own Trainer, timed from step to step: what happens between two steps counts, too."""

import os
import tempfile
import time
from typing import Any

from dgxcert.outcome import Inconclusive
from dgxcert.workloads.course.distilbert_lab import isolated_trainer
from dgxcert.workloads.round_timer import AddRound
from dgxcert.workloads.training import lora_batches
from dgxcert.workloads.training.lora_training import LoraTraining

MAX_STEPS = 10**6
"""Steps that Trainer is told to take: more than any run needs, since a callback stops it."""
DEVICE_VARIABLE = "ACCELERATE_TORCH_DEVICE"
"""Where accelerate reads which device to take; without it Trainer takes the first GPU."""


class TrainerTraining(LoraTraining):
    """Trainer with its defaults, but without logging, saving and shuffling."""

    def run_rounds(self, add_round: AddRound) -> None:
        """Steps over the batches in turn; a round lasts from the end of one step to the end of the next.

        Raises Inconclusive where Trainer takes another device.
        """
        with tempfile.TemporaryDirectory(prefix="dgxcert-lora-") as folder, isolated_trainer():
            if self.setup.device.kind == "cuda":
                os.environ[DEVICE_VARIABLE] = self.setup.device.name
            self._trainer(add_round, folder).train()
        if str(self.model.device) != self.setup.device.name:
            raise Inconclusive(f"Trainer worked on {self.model.device}, not on {self.setup.device.name}")

    def _trainer(self, add_round: AddRound, folder: str) -> Any:
        from transformers import PrinterCallback, Trainer

        training, losses = self, self.losses

        class KeepsResults(Trainer):  # type: ignore[misc]  # transformers is not typed here
            # Here and no later: Trainer clips gradients before it calls on_pre_optimizer_step.
            def training_step(self, *inputs: Any, **options: Any) -> Any:
                loss = super().training_step(*inputs, **options)
                training.keep_first_gradients()
                return loss

            # Trainer logs a mean over several steps, and reading each loss would wait for the device.
            def compute_loss(self, *inputs: Any, **options: Any) -> Any:
                result = super().compute_loss(*inputs, **options)
                losses.append((result[0] if isinstance(result, tuple) else result).detach())
                return result

        trainer = KeepsResults(
            model=self.model,
            args=self._arguments(folder),
            train_dataset=_repeated_rows(self.setup.batches),
            data_collator=lora_batches.padded,
            callbacks=[_step_timer(self, add_round)],
        )
        # Otherwise Trainer passes the number of labels for the model to divide by, which includes the first token of
        # each row, although nothing predicts it: the loss would be too small to compare.
        trainer.model_accepts_loss_kwargs = False
        trainer.remove_callback(PrinterCallback)  # which disable_tqdm puts in
        return trainer

    def _arguments(self, folder: str) -> Any:
        from transformers import TrainingArguments

        device = self.setup.device
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=MAX_STEPS,
            per_device_train_batch_size=len(self.setup.batches[0]),
            learning_rate=self.setup.learning_rate,
            lr_scheduler_type="constant",
            bf16=self.setup.is_classifier and self.setup.compute == "bf16",
            use_cpu=device.kind == "cpu",
            dataloader_pin_memory=device.kind == "cuda",
            remove_unused_columns=False,  # the rows are no columns: Trainer would drop what the model does not name
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        arguments._n_gpu = min(arguments.n_gpu, 1)  # or Trainer wraps the model in DataParallel on all GPUs
        return arguments


def _repeated_rows(batches: tuple[lora_batches.Batch, ...]) -> Any:
    """The rows of the batches in order, without end, as an iterable data set, which Trainer does not shuffle."""
    from torch.utils.data import IterableDataset

    class Rows(IterableDataset):  # type: ignore[misc]  # torch is not typed here
        def __iter__(self) -> Any:
            while True:
                for batch in batches:
                    yield from batch

    return Rows()


def _step_timer(training: LoraTraining, add_round: AddRound) -> Any:
    """A callback that times steps, and takes one more step to check its gradients once no round is wanted."""
    from transformers import TrainerCallback

    class StepTimer(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
        ended: float | None = None
        wanted = True

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **options: Any) -> None:  # noqa: ARG002
            if not self.wanted:  # only the extra step: reading gradients waits for the device
                training.check_gradients()

        def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:  # noqa: ARG002
            training.setup.device.wait()
            now = time.perf_counter()
            if not self.wanted:
                control.should_training_stop = True
            elif self.ended is not None:
                self.wanted = add_round(now - self.ended)
            self.ended = time.perf_counter()  # read again: what `add_round` does is not part of a step

    return StepTimer()
