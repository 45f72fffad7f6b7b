"""The hardware below the system: reserved memory, CPU clocks, fans, temperatures, power, firmware, known versions."""
