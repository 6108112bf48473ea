"""The terminal view of a store, ``antq top``: what the dashboard shows, without a browser.

    texts.py     any text of a store as a terminal may show it; numbers and times in few characters
    look.py      shapes and colours of states, in Unicode or in ASCII
    frame.py     what a view shows, as values: lines, and a table under them; and as plain text
    tabs.py      the five tabs, from values of insights to frames
    jobs_tab.py  jobs as rows; which of them are on the page
    details.py   one job, queue or actor, as lines
    keys.py      the keys, and what they do
    reading.py   asks insights for what a view needs, and for all of it at once
    operator.py  does what a key asks for, and tells what came of it
    pages.py     which page of the dashboard shows the same
    program.py   the program in a terminal: what its keys do
    view.py      what it shows     table.py its table     screens.py what lies over it

The last four alone need Textual, the extra ``top``. All others know no terminal, so what is shown
is tested as values.
"""
