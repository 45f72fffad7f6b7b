"""What was before: earlier runs of a machine, what changed between them, and the limits that good machines suggest."""
