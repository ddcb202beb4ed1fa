"""Boards: finding them, flashing them, asking their firmware; and virtual ones, for those who have none."""
