"""Virtual boards: other people's clients flash them, and talk to them, as they would to real ones."""
