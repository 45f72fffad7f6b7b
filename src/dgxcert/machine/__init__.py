"""What is under test, as data: the machine, its software, its image, the device that work runs on."""
