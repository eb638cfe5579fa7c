"""A run as HTML: the page that one hands on (``page``), and what a notebook shows of a record (``notebook``).

A page needs nothing but a browser: figures are SVG within it, style and script are its own, and its policy
(Content-Security-Policy) forbids it to load anything and to run any other script. Everything is built by
:func:`gcbarrier.report.html.markup.element`, which escapes what is no markup: names and errors are other people's.
"""
