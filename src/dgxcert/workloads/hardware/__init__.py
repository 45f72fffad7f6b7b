"""How fast is the hardware? Matmul, memory, transfers, files, and the rates that no machine can exceed."""
