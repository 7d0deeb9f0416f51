"""Studies of llminit: they run the program, read what it writes, and print tables and plots. tools/study is the entry."""
