"""What a recording of page writes looks like: a figure of one program or of several, and their numbers in a table.

``placing`` puts pages into rows and times into columns, ``panels`` draws, ``figure`` puts it together; ``table`` has
the words. What is shown are :class:`gcbarrier.page_traces.overview.Overview` records.
"""
