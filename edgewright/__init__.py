"""Edgewright: from a YOLOv8 model to a verified file on a microcontroller, with the same bytes every time.

Data flows one way: configs/ and options → `config.Project` → `plan.Plan` → `build.Record`s → `bundle`.
"""

__version__ = "0.1.0"
