"""`inv bench`: the export against stock `yolo export`, both in the same environment and in one run, as a ratio."""
