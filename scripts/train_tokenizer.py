"""Train the shipped tokenizer on the shipped prose: `make tokenizer`."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from dgxcert.workloads.models import text

VOCABULARY = 2048


def main() -> None:
    """Write src/dgxcert/workloads/models/data/tokenizer.json: byte-level BPE, so that any text can be read."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(text.CORPUS)], trainer)
    tokenizer.save(str(text.TOKENIZER), pretty=False)
    print(f"{text.TOKENIZER.name}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
