"""Disk: there is enough free space for the image, models and data sets."""

from dgxcert import requirement
from dgxcert.probes.host import disk


@requirement(
    "DISK-SPACE",
    title="The disk has enough free space for the image, models and data sets",
    why="The image and one 8 B model take 36 GB; a full disk ends a download or a training run in the middle.",
    remedy=(
        "Find what takes the space: df -h; docker system df; du -sh ~/.cache/huggingface",
        "Remove dangling images and build caches, never containers: docker image prune; docker builder prune",
        "Remove unused models: hf cache delete, or huggingface-cli delete-cache",
    ),
    stage="host",
    gate=True,
)
def test_there_is_free_space_for_image_models_and_data_sets(profile, evidence):
    space = disk.read()
    free = evidence.record("free disk", space.free_gib, unit="GiB", source=f"statvfs of {space.path}")
    assert free >= profile.limit("disk.free")
