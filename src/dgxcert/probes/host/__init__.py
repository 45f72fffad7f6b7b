"""The state of the host: kernel, clock, memory, disks, kernel log and container engine."""
