"""What `tools/calibrate.py` measures, one module a part.

A part has ``DESIGNS``, ``simulate(design)``, which gives one row of results, and ``section(kept)``,
which writes its section of the page from all rows. To add a part, copy the shortest (`order.py`)
and name it in `tools/calibrate.py`.
"""
