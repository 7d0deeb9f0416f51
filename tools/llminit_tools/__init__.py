"""Studies of llminit: they run the program, read its files, and print tables and plots. Entry: tools/study."""
