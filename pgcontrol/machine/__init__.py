"""Everything about the machine: cores, graphics, processes, signals, files, locks, memory, the compiler."""
