"""Disk: there is enough free space for the image, models and data sets."""

from dgxcert import requirement
from dgxcert.probes.host import disk


@requirement(
    "DISK-SPACE",
    title="The disk has enough free space for the image, models and data sets",
    why="The image and one 8 B model take 36 GB; a full disk ends a download or a training run in the middle.",
    remedy=(
        "Find what takes the space: df -h; docker image ls; du -sh ~/.cache/huggingface",
        "Remove images that nobody needs, each by its name: docker image rm NAME",
        "List the models in the cache, in `make shell`: hf cache scan (stack course) or hf cache ls (stack current)",
        "Remove those that nobody needs, in `make shell`: hf cache delete (stack course) or hf cache rm MODEL "
        "(stack current)",
    ),
    stage="host",
    gate=True,
)
def test_there_is_free_space_for_image_models_and_data_sets(profile, evidence):
    space = disk.read()
    free = evidence.record("free disk", space.free_gib, unit="GiB", source=f"statvfs of {space.path}")
    assert free >= profile.limit("disk.free")
