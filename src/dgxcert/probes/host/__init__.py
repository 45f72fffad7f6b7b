"""What the host is: kernel, clock, memory, disks, kernel log and container engine."""
