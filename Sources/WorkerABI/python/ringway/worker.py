"""worker.py LIBRARY __worker STAGE PROCESS RUNNER [prestarted ROOM]: starts one process of a Python stage.

Processes that user code starts by the method spawn run this file too, under another name and with paths of their own.
"""

if __name__ == "__main__":
    import os
    import sys

    # The folder of this file comes first, but not with PYTHONSAFEPATH.
    if getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.path.dirname(__file__))
    sys.path[0] = os.path.dirname(sys.path[0])
    import ringway._worker

    sys.path[0] = os.path.join(sys.path[0], "ringway")
    ringway._worker.main()
