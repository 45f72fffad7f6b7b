"""What is under test: the machine, its software, its image, and the device that work runs on."""
