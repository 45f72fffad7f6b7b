"""How fast the hardware is: matrix products, memory, transfers, files, and the rates that no machine can exceed."""
