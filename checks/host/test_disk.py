"""Disk: there is room for the image, models and data sets."""

from dgxcert import requirement
from dgxcert.probes.host import disk


@requirement(
    "DISK-SPACE",
    why="The image and one 8 B model take 36 GB; a full disk ends a download or a training run in its middle.",
    remedy=(
        "Look what takes the room: df -h; docker system df; du -sh ~/.cache/huggingface",
        "Remove images and build caches that nobody uses: docker system prune",
        "Remove models that nobody uses: hf cache delete, or huggingface-cli delete-cache",
    ),
    stage="host",
    gate=True,
)
def test_there_is_room_for_image_models_and_data_sets(profile, evidence):
    found = disk.read()
    room = evidence.record("free disk", found.free_gib, unit="GiB", source=f"statvfs of {found.path}")
    assert room >= profile.limit("disk.free")
