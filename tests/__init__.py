"""Tests. A package, because one of the libraries that are tested with installs another of this name."""
