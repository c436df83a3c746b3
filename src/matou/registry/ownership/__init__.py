"""Which registry serves an object storage: the one whose index knows everything that was pushed to it.

An index lies in a directory of one machine. A registry on another machine has another index, and neither would see what
is pushed to the other. So each keeps a record of itself in the storage (``records.py``), renewed while it runs. Whoever
starts looks at the records of the others: one that is renewed keeps it from starting; one that was released, or has not
been renewed for a minute, is succeeded, and the index is built from the storage again (``claim.py``). Nobody writes
another's record. What a registry may do meanwhile is bounded by a lease, which ends before others may take it for dead
(``lease.py``, ``renewal.py``).

All registries of one directory, on one machine, are one in this.
"""
