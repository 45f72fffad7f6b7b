"""Together: what all GPUs of a machine reach at once, beside each of them alone and beside its siblings."""
