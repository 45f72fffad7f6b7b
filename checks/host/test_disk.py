"""Disk: there is enough free space, and inodes, for the image, models and data sets, where each of them goes."""

from dgxcert import requirement
from dgxcert.probes.host import disk
from dgxcert.probes.hub.cache import commands


@requirement(
    "DISK-SPACE",
    title="The disks have enough free space for the image, models and data sets",
    why="The image and one 8 B model take 36 GB; a full disk ends a download or a training run in the middle.",
    remedy=(*disk.LOOK, *commands.BOTH, *disk.LARGER),
    stage="host",
    gate=True,
)
def test_there_is_free_space_for_image_models_and_data_sets(profile, evidence, keeps):
    disks = disk.read(keeps)
    evidence.advise(*disk.LOOK, *commands.cleaning(), *disk.LARGER)
    both = evidence.record("free disk", disks.together.free_gib, unit="GiB", source=disks.together.source)
    models = evidence.record("free for models", disks.models.free_gib, unit="GiB", source=disks.models.source)
    images = evidence.record("free for images", disks.images.free_gib, unit="GiB", source=disks.images.source)
    sets = evidence.record("free for data sets", disks.data_sets.free_gib, unit="GiB", source=disks.data_sets.source)
    results = evidence.record("free for results", disks.results.free_gib, unit="GiB", source=disks.results.source)
    scratch = evidence.record("free for TMPDIR", disks.temporary.free_gib, unit="GiB", source=disks.temporary.source)
    fewest = disks.fewest_inodes
    inodes = evidence.record("free inodes", fewest.free_inodes, unit="inode", source=fewest.source)
    assert both >= profile.limit("disk.free")
    assert models >= profile.limit("disk.models")
    assert images >= profile.limit("disk.images")
    assert sets >= profile.limit("disk.data_sets")
    assert results >= profile.limit("disk.results")
    assert scratch >= profile.limit("disk.temporary")
    assert inodes >= profile.limit("disk.inodes")
