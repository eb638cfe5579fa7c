"""What users add, and how it is found: heaps, barriers, collectors, experiments, and their parameters.

``discovery`` finds and executes the files, by path and never by a table; ``params`` turns what a user has set into an
attrs class, and that into C; ``_wheel`` puts the checkout's heaps and experiments into a wheel. May import the records
only; what a barrier or a collector is stands in those rooms.
"""
