"""Checkpoints: the real models on the Hub that dgxcert knows, at pinned revisions, with what each is for."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from dgxcert.files import yaml_document

FILE = Path(__file__).parent / "data" / "checkpoints.yaml"


class Part(BaseModel):
    """A part of the list: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Pinned(Part):
    """What is known of a file: its size in bytes and its SHA-256."""

    size: int | None = Field(default=None, gt=0)
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    standin: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """SHA-256 of the bytes that a Hub of the tests serves in its place."""

    @property
    def known(self) -> tuple[str, ...]:
        """The SHA-256 that the file may have, its own first; empty where it is not pinned.

        >>> Pinned(size=9, sha256="0" * 64).known == ("0" * 64,)
        True
        """
        return tuple(sha256 for sha256 in (self.sha256, self.standin) if sha256)


class Answer(Part):
    """Tokens that a model is known to generate greedily, those of the prompt included."""

    prompt: str
    tokens: tuple[int, ...] = Field(min_length=2)
    source: str


class Checkpoint(Part):
    """A model at a revision."""

    repo: str
    revision: str = Field(pattern="^[0-9a-f]{40}$")
    purpose: str
    files: dict[str, Pinned] = Field(min_length=1)
    answer: Answer | None = None

    @property
    def fetch(self) -> str:
        """The command that downloads it into the cache, under the name that notebooks use.

        >>> KNOWN["gpt2"].fetch
        'hf download gpt2 config.json tokenizer.json model.safetensors'
        """
        return f"hf download {self.repo} {' '.join(self.files)}"


def parse(text: str) -> dict[str, Checkpoint]:
    """The checkpoints of a list by repository. Raises ValueError where the text is no such list.

    >>> checkpoints = parse('''
    ... hf-internal-testing/tiny-random-gpt2:
    ...   revision: 71034c5d8bde858ff824298bdedc65515b97d2b9
    ...   purpose: the diagnosis of the Hub downloads it
    ...   files:
    ...     model.safetensors: {size: 453864}
    ... ''')
    >>> checkpoints["hf-internal-testing/tiny-random-gpt2"].files
    {'model.safetensors': Pinned(size=453864, sha256=None, standin=None)}
    """
    content = yaml_document.parse(text, "The list of checkpoints").content
    return {repo: Checkpoint.model_validate({"repo": repo, **entry}) for repo, entry in content.items()}


KNOWN = parse(FILE.read_text(encoding="utf-8"))
"""Every checkpoint by its name on the Hub."""
PROBED = KNOWN["hf-internal-testing/tiny-random-gpt2"]
"""The one that the diagnosis of the Hub downloads."""
